/** What the state of a node means, in words: which finding needs an operator, and what to do. Pure: status in, findings out. */
import { z } from 'zod';

export interface Finding {
  readonly part: string;
  /** `bad` needs an operator; `note` is worth knowing. */
  readonly grade: 'good' | 'note' | 'bad';
  readonly says: string;
  /** What to do; empty when nothing is. */
  readonly todo: string;
}

/** The parts of `GET /status` that are judged. */
export const StatusSchema = z.object({
  member: z.string(),
  parts: z.object({
    consensus: z.object({ height: z.number(), voting: z.boolean(), halted: z.boolean() }),
    ledger: z.object({ timeMs: z.number() }),
    authority: z.object({ ready: z.boolean(), shareEpoch: z.number().nullable() }),
    indexer: z.object({ ready: z.boolean(), covered: z.number(), records: z.number() }),
    storage: z.object({
      copies: z.number(),
      waiting: z.number(),
      failing: z.number(),
      unreceipted: z.number(),
      erasing: z.number(),
      scrub: z.object({
        endedAt: z.number().nullable(),
        checked: z.number(),
        mended: z.number(),
        damaged: z.number(),
        named: z.array(z.object({ of: z.string(), what: z.string(), code: z.string() })),
      }),
    }),
    disk: z.object({ freeBytes: z.number(), reserveBytes: z.number(), waiting: z.boolean().default(false) }),
    backup: z
      .object({ everyMinutes: z.number(), newestAt: z.number().nullable(), failed: z.string().nullable() })
      .nullable(),
    restored: z.boolean(),
    clock: z.number(),
    peers: z.array(
      z.object({
        member: z.string(),
        height: z.number().nullable(),
        clockOffsetMs: z.number().nullable(),
      }),
    ),
  }),
});
export type NodeStatus = z.infer<typeof StatusSchema>;

/** A node that is so many blocks behind does not follow any more. */
const LAG_BLOCKS_MAX = 20;
/** An idle chain makes a block every 30 s. */
const TIP_AGE_MS_MAX = 90_000;
/** Voters refuse blocks whose time is 10 s off; a clock should be far from that. */
const CLOCK_OFFSET_MS_MAX = 2_000;
const INDEX_LAG_MAX = 10_000;
const MIB = 1024 * 1024;

/** Judges a running node. */
export function diagnose({ parts }: NodeStatus): Finding[] {
  return [
    consensus(parts),
    quorum(parts),
    height(parts),
    clock(parts),
    share(parts),
    index(parts),
    replication(parts),
    scrub(parts),
    diskSpace(parts.disk),
    backups(parts),
  ];
}

type Parts = NodeStatus['parts'];

function good(part: string, says: string): Finding {
  return { part, grade: 'good', says, todo: '' };
}

function consensus({ consensus: { halted, voting }, restored }: Parts): Finding {
  const part = 'consensus';
  if (halted) {
    return {
      part,
      grade: 'bad',
      says: 'halted: this node computed another state than the consortium agreed on',
      todo: 'stop it, keep its directory for examination, and restore it from its newest backup',
    };
  }
  if (voting) return good(part, 'votes');
  const says = restored ? 'follows and does not vote yet: it was restored' : 'follows and does not vote yet';
  const todo =
    'nothing yet: it votes when the others are two blocks past its old votes, which takes a minute or two';
  return { part, grade: 'note', says, todo };
}

function quorum({ peers }: Parts): Finding {
  const part = 'quorum';
  const members = peers.length + 1;
  const needed = Math.ceil((members + Math.floor((members - 1) / 3) + 1) / 2);
  const silent = peers.filter(({ height: theirs }) => theirs === null).map(({ member }) => member);
  const reached = members - silent.length;
  const says = `${reached} of ${members} members answer, ${needed} are needed`;
  if (silent.length === 0) return good(part, says);
  return {
    part,
    grade: reached < needed ? 'bad' : 'note',
    says: `${says}; silent: ${silent.join(', ')}`,
    todo: 'ask the silent members; check the link ports and the "peers" of the configuration',
  };
}

function height({ consensus: { height: own }, ledger, peers, clock: now }: Parts): Finding {
  const part = 'height';
  const highest = Math.max(own, ...peers.flatMap(({ height: theirs }) => theirs ?? []));
  const age = Math.max(0, Math.round((now - ledger.timeMs) / 1000));
  const says = `height ${own}, ${highest - own} behind the highest, newest block ${age} s old`;
  if (highest - own > LAG_BLOCKS_MAX) {
    return {
      part,
      grade: 'bad',
      says,
      todo: 'look for consensus events in the log; a node that does not catch up within minutes is to be restarted',
    };
  }
  if (now - ledger.timeMs > TIP_AGE_MS_MAX) {
    return {
      part,
      grade: 'bad',
      says,
      todo: 'no blocks are made: see quorum and clock, here and at the others',
    };
  }
  return good(part, says);
}

function clock({ peers }: Parts): Finding {
  const part = 'clock';
  const offsets = peers.flatMap(({ clockOffsetMs }) => clockOffsetMs ?? []).sort((a, b) => a - b);
  if (offsets.length === 0)
    return { part, grade: 'note', says: 'no member to compare with', todo: 'see quorum' };
  const median = offsets[Math.floor(offsets.length / 2)];
  const says = `the others are ${Math.abs(median)} ms ${median < 0 ? 'behind' : 'ahead'} (median)`;
  if (Math.abs(median) <= CLOCK_OFFSET_MS_MAX) return good(part, says);
  return { part, grade: 'bad', says, todo: 'set the clock by NTP: blocks more than 10 s off are refused' };
}

function share({ authority: { ready, shareEpoch } }: Parts): Finding {
  const part = 'share';
  if (ready) return good(part, `holds its share of epoch ${shareEpoch}`);
  return {
    part,
    grade: 'bad',
    says:
      shareEpoch === null
        ? 'the members have not made their key yet'
        : `lacks its share of epoch ${shareEpoch}`,
    todo:
      shareEpoch === null
        ? 'start all members: the first key ceremony needs everybody'
        : 'restore the newest backup of the keystore; without it the member issues nothing until the next resharing',
  };
}

function index({ indexer: { ready, covered, records } }: Parts): Finding {
  const part = 'index';
  if (!ready)
    return {
      part,
      grade: 'bad',
      says: 'the indexer is not running',
      todo: 'look for index events in the log',
    };
  const says = `${covered} of ${records} records are searchable`;
  if (records - covered <= INDEX_LAG_MAX) return good(part, says);
  return { part, grade: 'bad', says, todo: 'look for index.failed in the log' };
}

function replication({ storage, peers }: Parts): Finding {
  const part = 'replication';
  const { copies, waiting, failing, unreceipted, erasing } = storage;
  const says = `${copies} copies each; ${waiting} wait, ${failing} could not be had, ${unreceipted} without receipt, ${erasing} erasures under way`;
  if (failing === 0) return good(part, says);
  const isAlone = peers.some(({ height: theirs }) => theirs === null);
  return {
    part,
    grade: isAlone ? 'note' : 'bad',
    says,
    todo: isAlone
      ? 'they are tried again when the silent members are back'
      : 'no member gives them: see replication.failed in the log, and have their custodian restore a backup',
  };
}

function scrub({ storage, clock: now }: Parts): Finding {
  const part = 'scrub';
  const { endedAt, checked, mended, damaged, named } = storage.scrub;
  const round =
    endedAt === null
      ? 'no whole round since the start'
      : `the last whole round ended ${Math.round((now - endedAt) / 60_000)} min ago`;
  const says = `${round}; ${checked} things read back, ${mended} mended`;
  if (damaged === 0) return good(part, says);
  return {
    part,
    grade: 'bad',
    says: `${says}; ${damaged} damaged: ${named.map(({ of, what, code }) => `${what} of ${of} (${code})`).join(', ')}`,
    todo: 'no member gives them: check the disk, start silent members, and restore the custodian of what is named from a backup',
  };
}

/** Free space against the reserve below which stores refuse writes. */
export function diskSpace({ freeBytes, reserveBytes, waiting }: Parts['disk']): Finding {
  const part = 'disk';
  const says = `${Math.floor(freeBytes / MIB)} MiB free, writes stop below ${Math.floor(reserveBytes / MIB)} MiB`;
  if (waiting) {
    return {
      part,
      grade: 'bad',
      says: `${says}; the ledger waits for room, nothing is accepted`,
      todo: 'free space or enlarge the disk: the node goes on by itself',
    };
  }
  if (freeBytes < reserveBytes) {
    return {
      part,
      grade: 'bad',
      says: `${says}: no records are accepted`,
      todo: 'free space or enlarge the disk: the node goes on by itself',
    };
  }
  if (freeBytes < 4 * reserveBytes) return { part, grade: 'note', says, todo: 'make room soon' };
  return good(part, says);
}

function backups({ backup, clock: now }: Parts): Finding {
  const part = 'backup';
  if (backup === null) {
    return {
      part,
      grade: 'note',
      says: 'this node makes no backups of its own',
      todo: 'set "backup" in its configuration: the keystore with the member\'s keys exists once',
    };
  }
  const { everyMinutes, newestAt, failed } = backup;
  const minutes = newestAt === null ? null : Math.round((now - newestAt) / 60_000);
  const says =
    minutes === null ? 'none yet' : `the newest is ${minutes} min old, one is due every ${everyMinutes} min`;
  if (failed !== null)
    return {
      part,
      grade: 'bad',
      says: `${says}; the last attempt failed with ${failed}`,
      todo: 'check that the repository can be written and that its key file opens it',
    };
  if (minutes !== null && minutes > 2 * everyMinutes + 5)
    return { part, grade: 'bad', says, todo: 'look for backup events in the log' };
  return minutes === null ? { part, grade: 'note', says, todo: '' } : good(part, says);
}
