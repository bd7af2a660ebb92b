/** What the governance entries of a block mean to the ordering engine. */
import { Overlay, STATE, type StateKey, type StateView } from '../machine/index.ts';

/** What a block changes for the ordering engine: the set that votes two heights on, and who may not lead. */
export function consensusChanges(
  before: StateView,
  changes: readonly (readonly [string, unknown])[],
): { nextValidators?: readonly Uint8Array[]; barred?: readonly Uint8Array[] } {
  const isChanged = changes.some(([key]) => key.startsWith('eligibility/') || key.startsWith('validators/'));
  if (!isChanged) return {};
  const after = new Overlay(before);
  for (const [key, value] of changes) after.set(key as StateKey<unknown>, value);
  const epoch = after.get(STATE.chain)?.validatorEpoch ?? 0;
  const isScheduled = changes.some(([key]) => key === STATE.validators(epoch + 1));
  const next = after.get(STATE.validators(epoch + 1)) ?? after.get(STATE.validators(epoch));
  return {
    ...(isScheduled && next !== undefined ? { nextValidators: next.validators.map(({ key }) => key) } : {}),
    barred: barredIn(after),
  };
}

/** Keys of the members that may not lead, as the state has them; oldest first. */
export function barredIn(state: StateView): readonly Uint8Array[] {
  return (state.get(STATE.members) ?? [])
    .map((member) => ({
      since: state.get(STATE.eligibility(member))?.since,
      key: state.get(STATE.member(member)),
    }))
    .filter(({ since, key }) => since !== undefined && key !== undefined)
    .sort((a, b) => (a.since ?? 0) - (b.since ?? 0))
    .flatMap(({ key }) => (key === undefined ? [] : [key.validatorKey]));
}
