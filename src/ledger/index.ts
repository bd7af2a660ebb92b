/** The ledger: entries, state machine, log, receipts and the engine that keeps them on a store. */
export * from './checkpoint/index.ts';
export * from './engine/index.ts';
export * from './entries/index.ts';
export * from './log/index.ts';
export * from './machine/index.ts';
export { type KvOp, type KvRange, type KvReader, type KvStore, MemoryStore } from './ports.ts';
export * from './state-tree/index.ts';
