import fc from 'fast-check';

// Every property runs the same cases on every machine; FC_SEED explores others.
fc.configureGlobal({ seed: Number(process.env.FC_SEED ?? 20_221_415) });
