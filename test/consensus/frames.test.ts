import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import {
  FRAME_BODY_MAX,
  FRAME_KIND,
  type Frame,
  type FrameKind,
  FrameReader,
  FrameWriter,
} from '../../src/consensus/transport/frames.ts';

const kinds = Object.keys(FRAME_KIND) as FrameKind[];
let drawn = 0;
/** The next bytes of a stream from a seed. */
function random(count: number): Uint8Array {
  const blocks = Array.from({ length: Math.ceil(count / 64) }, () =>
    createHash('sha512').update(`frames ${drawn++}`).digest(),
  );
  return new Uint8Array(Buffer.concat(blocks).subarray(0, count));
}
const below = (limit: number): number => Buffer.from(random(4)).readUInt32BE() % limit;

const frame = (length: number): Frame => ({
  channel: below(256),
  kind: kinds[below(kinds.length)],
  id: Buffer.from(random(4)).readUInt32BE(),
  body: random(length),
});
const plain = ({ channel, kind, id, body }: Frame) => ({
  channel,
  kind,
  id,
  body: Buffer.from(body).toString('hex'),
});

describe('frames', () => {
  const frames = [
    0, 1, 5, 200, 16_383, 16_384, 70_000, 3, 40_000, 15_000, 15_000, 15_000, 15_000, 0, 200_000, 0,
  ].map(frame);

  test('the layout is u32 length, channel, kind, u32 id, body', () => {
    const writer = new FrameWriter();
    writer.push({ channel: 2, kind: 'request', id: 0x01020304, body: Uint8Array.of(9, 8) });
    expect(Buffer.concat(writer.take()).toString('hex')).toBe('0000000802010102030409 08'.replace(' ', ''));
  });

  test('come out as they went in, wherever the stream is cut', () => {
    const writer = new FrameWriter();
    const parts: Uint8Array[] = [];
    for (const [i, one] of frames.entries()) {
      writer.push(one);
      if (i % 3 === 2) parts.push(...writer.take());
    }
    const left = writer.length;
    const rest = writer.take();
    expect(rest.reduce((sum, part) => sum + part.length, 0)).toBe(left);
    expect(writer.length).toBe(0);
    expect(writer.take()).toEqual([]);
    const stream = Buffer.concat([...parts, ...rest]);
    const cuts = [
      () => 1,
      () => 2,
      () => 3,
      () => 7,
      () => 16_384,
      () => stream.length,
      () => 1 + below(9),
      () => 1 + below(50_000),
    ];
    for (const cut of cuts) {
      const reader = new FrameReader();
      const read: Frame[] = [];
      for (let at = 0; at < stream.length; ) {
        const length = cut();
        read.push(...reader.push(stream.subarray(at, at + length)));
        at += length;
      }
      expect(read.map(plain)).toEqual(frames.map(plain));
    }
  });

  test('what was taken is not written over by what comes later', () => {
    const writer = new FrameWriter();
    const taken: { parts: Uint8Array[]; copy: Buffer }[] = [];
    for (let i = 0; i < 300; i++) {
      writer.push(frame(below(900)));
      const parts = writer.take();
      taken.push({ parts, copy: Buffer.concat(parts) });
    }
    for (const { parts, copy } of taken) expect(Buffer.concat(parts).equals(copy)).toBe(true);
  });

  test('a body above the bound is neither written nor waited for', () => {
    const writer = new FrameWriter();
    const body = new Uint8Array(FRAME_BODY_MAX);
    writer.push({ channel: 0, kind: 'message', id: 0, body });
    expect(() =>
      writer.push({ channel: 0, kind: 'message', id: 0, body: new Uint8Array(FRAME_BODY_MAX + 1) }),
    ).toThrow('expected a body of at most');
    const [head] = writer.take();
    expect(new FrameReader().push(Buffer.from(head))).toEqual([]);
    const over = Buffer.from(head);
    over.writeUInt32BE(over.readUInt32BE() + 1);
    expect(() => new FrameReader().push(over)).toThrow('expected a frame');
  });
});
