/**
 * Long work in steps: a generator that yields now and then, so that its caller may let others have the thread.
 * Nothing is computed differently for it; whoever does not care runs it through at once.
 */

/** Work that gives a `T` in the end. */
export type Steps<T> = Generator<void, T>;

/** Lists handled between two pauses: below half a millisecond. */
export const LISTS_A_STEP = 32;

/** Runs `steps` without a pause. */
export function runThrough<T>(steps: Steps<T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/** Runs `steps`, waiting for `pause` between them. */
export async function runPaced<T>(steps: Steps<T>, pause: () => Promise<void>): Promise<T> {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
    await pause();
  }
}
