/** Headers that others can verify, from a store. */
import { u64be } from '../../codec/bytes.ts';
import { storedBlock } from '../engine/blocks.ts';
import { QC_TABLE } from '../engine/tables.ts';
import type { KvReader } from '../ports.ts';

/** Header and certificate of a stored block. */
export function certificateAt(
  store: KvReader,
  height: number,
): { readonly header: Uint8Array; readonly qc: Uint8Array } | undefined {
  const block = storedBlock(store, height);
  const qc = store.get(QC_TABLE, u64be(height));
  return block === undefined || qc === undefined ? undefined : { header: block.header, qc };
}
