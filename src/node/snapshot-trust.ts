/**
 * What a member that is behind believes of others: a header whose certificate verifies under a validator set chained from the
 * last set that this member applied itself, and blocks that lead to it (ledger-security rules 26 and 28).
 */
import { equalBytes, fromHex, toHex } from '../codec/bytes.ts';
import { CodedError } from '../codec/errors.ts';
import {
  certifiedChain,
  decodeBlock,
  decodeChain,
  decodeHeader,
  decodeQc,
  encodeBlock,
  encodeChain,
  encodeQc,
  type Genesis,
  genesisChain,
  type QuorumCertificate,
  type Rotation,
  rotation,
} from '../consensus/index.ts';
import {
  barredIn,
  type Certified,
  type HistoryBlock,
  type HistoryEnd,
  type KvReader,
  readTip,
  type Segment,
  STATE,
  type StateView,
} from '../ledger/index.ts';
import {
  type BlockHeader,
  type EpochLink,
  epochLinks,
  extendAnchor,
  PBFT_LITE,
  type TrustAnchor,
  type ValidatorPeriod,
  validatorsAt,
} from '../ledger/verify/index.ts';

/** Where this member stands, and which sets it knows. */
export interface Standing {
  readonly end: HistoryEnd;
  /** Last epoch whose set is known here. */
  readonly epoch: number;
  readonly anchor: TrustAnchor;
}

/** The standing of a store with at least a genesis. `genesis` is the one that consensus starts from. */
export function standingOf(store: KvReader, state: StateView, genesis: Genesis): Standing {
  const tip = readTip(store);
  const chain = state.get(STATE.chain);
  if (tip === undefined || chain === undefined)
    throw new CodedError('ledger.damaged', 'the store has no chain state; restore the node');
  const { headHash, height, rotatedHeight, rotatedTime } =
    tip.height === 0 ? genesisChain(genesis) : decodeChain(tip.resume);
  const periods: ValidatorPeriod[] = [];
  for (let epoch = chain.validatorEpoch; ; epoch++) {
    const set = state.get(STATE.validators(epoch));
    if (set === undefined) break;
    const before = periods.pop();
    if (before !== undefined) periods.push({ ...before, until: set.from });
    periods.push({ epoch, ...set });
  }
  return {
    end: { height, hash: fromHex(headHash, 32), rotatedHeight, rotatedTime },
    epoch: chain.validatorEpoch + periods.length - 1,
    anchor: { chainId: chain.chainId, genesisEntry: genesis.chainId, periods },
  };
}

/** A header that is believed. */
export interface Believed {
  readonly header: BlockHeader;
  readonly headerBytes: Uint8Array;
  readonly hash: Uint8Array;
  readonly qc: Uint8Array;
  /** The standing's, with the sets that lead to this header. */
  readonly anchor: TrustAnchor;
}

/** Verifies a header from a peer. Throws `snapshot.bad_certificate`, `anchor.bad_link`, `consensus.malformed`. */
export function believe(certified: Certified, trust: TrustAnchor): Believed {
  const anchor = extendAnchor(trust, certified.links, PBFT_LITE);
  const header = PBFT_LITE.readHeader(certified.header);
  const set = validatorsAt(anchor, header.height);
  const wrong = PBFT_LITE.verifyQc(certified.header, certified.qc, set);
  const isOurs =
    equalBytes(header.chainId, anchor.genesisEntry) &&
    equalBytes(header.validatorsHash, PBFT_LITE.validatorsHash(set));
  if (wrong !== undefined || !isOurs) {
    const why = wrong ?? 'a header of another chain or set';
    throw new CodedError('snapshot.bad_certificate', `no quorum vouches for height ${header.height}: ${why}`);
  }
  const hash = PBFT_LITE.headerHash(certified.header);
  return { header, headerBytes: certified.header, hash, qc: certified.qc, anchor };
}

/** What a segment adds to a history, headers and certificates verified. */
export interface VerifiedSegment {
  readonly blocks: readonly HistoryBlock[];
  readonly end: HistoryEnd;
}

/**
 * The blocks of a segment that follows `from`, none above `to`. Each names its parent by hash and the parent's certificate by hash; the
 * last one's certificate is verified, and so vouches for all. Throws `snapshot.bad_history`, `consensus.malformed`.
 */
export function verifySegment(
  { blocks }: Segment,
  from: HistoryEnd,
  to: number,
  anchor: TrustAnchor,
): VerifiedSegment {
  const refuse = (message: string): never => {
    throw new CodedError('snapshot.bad_history', message);
  };
  let { height, rotatedHeight, rotatedTime }: HistoryEnd = from;
  let rotated: Rotation = { rotatedHeight, rotatedTime };
  let hash = toHex(from.hash);
  const decoded = blocks.map(({ encoded }) => decodeBlock(encoded));
  const verified: HistoryBlock[] = [];
  for (const [i, { proposal, qc: given }] of decoded.entries()) {
    const { header, headerBytes, batch, parentQc } = proposal;
    height += 1;
    if (header.height !== height || height > to || header.parentHash !== hash)
      refuse(`expected the block ${height} that follows the one before`);
    hash = proposal.hash;
    rotated = rotation(rotated, header);
    // The next block names this one's certificate by hash; only the last has to stand for itself.
    const qc: QuorumCertificate = decoded[i + 1]?.proposal.parentQc ?? given;
    if (qc.headerHash !== hash || qc.height !== height) refuse(`block ${height} has another's certificate`);
    verified.push({
      height,
      header,
      headerHash: hash,
      headerBytes,
      batch,
      qc: encodeQc(qc),
      parentQc: parentQc === undefined ? new Uint8Array(0) : encodeQc(parentQc),
      encoded: encodeBlock({ proposal, qc }),
      results: blocks[i].results,
    });
  }
  const last = verified[verified.length - 1];
  const wrong = PBFT_LITE.verifyQc(last.headerBytes, last.qc, validatorsAt(anchor, height));
  if (wrong !== undefined) refuse(`the certificate of height ${height} does not verify: ${wrong}`);
  ({ rotatedHeight, rotatedTime } = rotated);
  return { blocks: verified, end: { height, hash: fromHex(hash, 32), rotatedHeight, rotatedTime } };
}

/**
 * What consensus goes on from at a certified height, from the state there and the history below. Throws
 * `snapshot.undecided` when more members are barred from leading than one set's f: which of them were first is known
 * to those alone who executed every block.
 */
export function resumeAt(
  { headerBytes, qc, header }: Believed,
  state: StateView,
  end: HistoryEnd,
): Uint8Array {
  const keysOf = (epoch: number): readonly Uint8Array[] | undefined =>
    state.get(STATE.validators(epoch))?.validators.map(({ key }) => key);
  const setOf = (epoch: number) => ({ epoch, keys: keysOf(epoch) ?? [] });
  const isChange = !equalBytes(header.validatorsHash, header.nextValidatorsHash);
  const voted = setOf(header.epoch);
  const next = setOf(header.epoch + (isChange ? 1 : 0));
  const after = keysOf(next.epoch + 1) === undefined ? next : setOf(next.epoch + 1);
  const barred = barredIn(state);
  const sizes = [voted, next, setOf(Math.max(0, next.epoch - 1))].map(({ keys }) => keys.length);
  const f = Math.floor((Math.min(...sizes) - 1) / 3);
  if (barred.length > f)
    throw new CodedError(
      'snapshot.undecided',
      'more members are barred than may be faulty: execute the blocks',
    );
  return encodeChain(
    certifiedChain({
      header: decodeHeader(headerBytes),
      qc: decodeQc(qc),
      sets: [voted, next, after],
      barred,
      rotation: end,
    }),
  );
}

/** The links after epoch `after` that a member can show, at most `max`. */
export function linksAfter(
  blocks: (height: number) => { readonly header: Uint8Array; readonly qc: Uint8Array } | undefined,
  state: StateView,
  after: number,
  max: number,
): readonly EpochLink[] {
  const source = {
    block: (height: number) => {
      const block = blocks(height);
      return block === undefined ? undefined : { ...block, batch: [], leaves: [] };
    },
    validators: (epoch: number) => {
      const set = state.get(STATE.validators(epoch));
      return set === undefined ? undefined : { epoch, ...set };
    },
  };
  const links: EpochLink[] = [];
  for (const link of epochLinks(source, after)) {
    if (links.length === max) break;
    links.push(link);
  }
  return links;
}
