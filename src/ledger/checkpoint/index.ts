/** Checkpoints: the signed heads of the log and the state. */
export {
  assembleCheckpoint,
  type Checkpoint,
  checkpointBody,
  checkpointOrigin,
  cosign,
  cosignAsWitness,
  cosignatureOf,
  cosignerName,
  parseCheckpoint,
  type VerifiedCheckpoint,
  verifyCheckpoint,
  type Witness,
} from './checkpoint.ts';
export type { NoteSignature } from './note.ts';
export { checkpointQuorum, checkValidatorSet, type Validator, type ValidatorSet } from './validators.ts';
export { formatWitnessKey, linesOfWitness, parseWitnessKey } from './witness.ts';
