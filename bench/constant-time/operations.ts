/**
 * Every operation on a secret that the product makes, and what is claimed of its time:
 *
 * - `constant`: the time must not depend on the secret; an alarm fails the command.
 * - `varies`: it may, and `why` says what bounds the harm.
 * - `control`: known to vary. If no difference is seen the measurement is blind, which fails the command too.
 *
 * Operations on public values alone (policies, Lagrange weights, checks of parts) are not here; docs/constant-time.md
 * names them.
 */
import sodium from 'libsodium-wrappers-sumo';
import { openGroup } from '../../src/abe/index.ts';
import { ceremony, controls, opening, sealing } from './headers.ts';
import { asymmetric, issuing, symmetric } from './keys.ts';
import type { SecretOperation } from './operation.ts';

/** All operations over a fresh set of bases. */
export async function secretOperations(): Promise<readonly SecretOperation[]> {
  const group = await openGroup('mcl');
  await sodium.ready;
  return [
    ...issuing(group),
    ...symmetric(),
    ...(await asymmetric()),
    ...sealing(group),
    ...opening(group),
    ...ceremony(group),
    ...(await controls(group)),
  ];
}
