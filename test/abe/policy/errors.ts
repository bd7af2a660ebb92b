/** The CodedError that `act` throws; fails the test when it throws another or none. */
import { CodedError } from '../../../src/codec/errors.ts';

export function thrownBy(act: () => unknown): CodedError {
  try {
    act();
  } catch (error) {
    if (error instanceof CodedError) return error;
    throw error;
  }
  throw new Error('expected an error');
}
