/** Subjects: enrolment, their attributes, revocation. */
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { fromBase64url, fromHex } from '../../codec/bytes.ts';
import { CodedError } from '../../codec/errors.ts';
import { subjectId } from '../../codec/ids.ts';
import type { Services } from '../ports.ts';
import {
  AttributeText,
  base64url,
  Committed,
  MemberIdText,
  PageQuery,
  problems,
  SignedFields,
  SubjectIdText,
  Time,
} from '../schemas.ts';
import { sessionOf } from '../session.ts';
import { answer, commit } from '../writes.ts';

const Kind = z.enum(['patient', 'person', 'system', 'device']);
const Subject = z
  .object({
    subject: SubjectIdText,
    member: MemberIdText,
    kind: z.string(),
    generation: z.number().int(),
    revoked: z.boolean(),
    attributes: z.array(
      z.object({ attribute: z.string(), until: z.string().nullable(), inForce: z.boolean() }),
    ),
  })
  .meta({ id: 'Subject' });
const DeviceKeys = z
  .object({
    alg: z.enum(['ed25519', 'p256']),
    key: base64url(33, 'public signing key'),
    hpkeKey: base64url(32, 'X25519 public key'),
    proof: base64url(64, "the new key's signature, see docs/entries.md"),
  })
  .meta({ id: 'DeviceKeys' });
const bearer = [{ bearer: [] }];

export function subjectRoutes(scope: FastifyInstance, services: Services): void {
  const app = scope.withTypeProvider<ZodTypeProvider>();

  app.post(
    '/subjects',
    {
      schema: {
        summary: 'Enrol a subject of this member',
        description:
          'Needs the right registrar. With `keys` the subject keeps its own keys (custody client); without, the gateway keeps ' +
          'them. An identifier that is known already answers with the subject it names.',
        tags: ['subjects'],
        security: bearer,
        body: z.object({
          kind: Kind,
          subject: SubjectIdText.optional(),
          keys: DeviceKeys.optional(),
          identifiers: z.array(z.string().min(1).max(256)).max(16).default([]),
          account: z
            .object({ name: z.string().regex(/^[a-z0-9._-]{1,64}$/), password: z.string().min(8).max(256) })
            .optional(),
        }),
        response: {
          201: z.object({ subject: SubjectIdText, created: z.boolean(), committed: Committed.nullable() }),
          ...problems,
        },
      },
    },
    async (request, reply) => {
      const { body } = request;
      if (body.keys !== undefined && body.subject === undefined) {
        throw new CodedError(
          'request.invalid',
          'a subject with keys of its own names its id, because its proof signs it',
        );
      }
      const done = await services.writes.enrol(sessionOf(request), {
        kind: body.kind,
        custody: body.keys === undefined ? 'gateway' : 'client',
        identifiers: body.identifiers,
        ...(body.subject === undefined ? {} : { subject: subjectId(body.subject) }),
        ...(body.account === undefined ? {} : { account: body.account }),
        ...(body.keys === undefined
          ? {}
          : {
              keys: {
                alg: body.keys.alg,
                key: fromBase64url(body.keys.key),
                hpkeKey: fromBase64url(body.keys.hpkeKey),
                proof: fromBase64url(body.keys.proof),
              },
            }),
      });
      reply.code(201);
      const committed = done.entry === null ? null : await answer(services, done.entry);
      return { subject: done.subject, created: done.entry !== null, committed };
    },
  );

  app.get(
    '/subjects',
    {
      schema: {
        summary: 'Subjects, as on the ledger',
        tags: ['subjects'],
        security: bearer,
        querystring: z.object({ ...PageQuery, member: MemberIdText.optional() }),
        response: { 200: z.object({ subjects: z.array(Subject), next: z.string().nullable() }), ...problems },
      },
    },
    async (request) => {
      const { limit, cursor, member } = request.query;
      const rows = await services.ledger.list('subject/', {
        limit,
        ...(cursor === undefined ? {} : { after: cursor }),
      });
      const subjects = await Promise.all(
        rows.map(([key]) => services.subjects.describe(subjectId(key.slice('subject/'.length)))),
      );
      const next = rows.length < limit ? null : rows[rows.length - 1][0];
      return { subjects: subjects.filter((one) => member === undefined || one.member === member), next };
    },
  );

  app.get(
    '/subjects/:id',
    {
      schema: {
        summary: 'One subject',
        tags: ['subjects'],
        security: bearer,
        params: z.object({ id: SubjectIdText }),
        response: { 200: Subject, ...problems },
      },
    },
    (request) => services.subjects.describe(subjectId(request.params.id)),
  );

  app.post(
    '/subjects/:id/keys',
    {
      schema: {
        summary: 'Give a subject a new key, retire others',
        description: 'Needs the right registrar and the proof of the new key.',
        tags: ['subjects'],
        security: bearer,
        params: z.object({ id: SubjectIdText }),
        body: z.object({
          ...SignedFields,
          keys: DeviceKeys,
          retire: z.array(z.number().int().min(0).max(7)).max(8),
        }),
        response: { 201: Committed, ...problems },
      },
    },
    async (request, reply) => {
      reply.code(201);
      const { keys, retire } = request.body;
      return commit(services, {
        session: sessionOf(request),
        type: 'SubjectKeyPut',
        body: {
          subject: fromHex(request.params.id),
          key: { alg: keys.alg, key: fromBase64url(keys.key) },
          hpkeKey: fromBase64url(keys.hpkeKey),
          proof: fromBase64url(keys.proof),
          retire,
        },
        signed: request.body,
      });
    },
  );

  const attributeParams = z.object({ id: SubjectIdText, attribute: AttributeText });
  app.put(
    '/subjects/:id/attributes/:attribute',
    {
      schema: {
        summary: 'Grant an attribute',
        description: "Needs the right registrar of the attribute's issuer.",
        tags: ['subjects'],
        security: bearer,
        params: attributeParams,
        body: z.object({ ...SignedFields, until: Time.nullable().default(null) }),
        response: { 200: Committed, ...problems },
      },
    },
    (request) =>
      commit(services, {
        session: sessionOf(request),
        type: 'AttributeSet',
        body: {
          subject: fromHex(request.params.id),
          attribute: request.params.attribute,
          until: request.body.until === null ? null : Date.parse(request.body.until),
        },
        signed: request.body,
      }),
  );

  app.delete(
    '/subjects/:id/attributes/:attribute',
    {
      schema: {
        summary: 'Take an attribute away',
        tags: ['subjects'],
        security: bearer,
        params: attributeParams,
        body: z.object(SignedFields).optional(),
        response: { 200: Committed, ...problems },
      },
    },
    (request) =>
      commit(services, {
        session: sessionOf(request),
        type: 'AttributeEnd',
        body: { subject: fromHex(request.params.id), attribute: request.params.attribute },
        signed: request.body ?? {},
      }),
  );

  app.post(
    '/subjects/:id/revoke',
    {
      schema: {
        summary: 'Revoke a subject',
        description: 'Acts at once: no access is granted and no part released afterwards.',
        tags: ['subjects'],
        security: bearer,
        params: z.object({ id: SubjectIdText }),
        body: z.object({
          ...SignedFields,
          reason: z.enum(['left', 'lost-key', 'abuse', 'deceased', 'error']),
        }),
        response: { 200: Committed, ...problems },
      },
    },
    (request) =>
      commit(services, {
        session: sessionOf(request),
        type: 'SubjectRevoke',
        body: { subject: fromHex(request.params.id), reason: request.body.reason },
        signed: request.body,
      }),
  );
}
