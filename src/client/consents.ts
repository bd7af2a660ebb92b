/** Consent on the client: a requester asks, the patient answers and may revoke. */
import { fromHex } from '../codec/bytes.ts';
import type { Context } from './context.ts';
import type { Purpose } from './records.ts';
import type { Committed } from './types.ts';

export interface ConsentInfo {
  readonly consent: string;
  readonly patient: string;
  readonly grantee: string;
  readonly purpose: string;
  readonly state: 'requested' | 'accepted' | 'rejected' | 'revoked';
  readonly until: string;
}

export class Consents {
  readonly #context: Context;

  constructor(context: Context) {
    this.#context = context;
  }

  /** Asks a patient; the entry id of the answer is the consent's id. */
  async request(patient: string, until: Date, purpose: Purpose = 'treatment'): Promise<Committed> {
    const body = { patient: fromHex(patient), until: until.getTime(), purpose };
    return this.#post('/v1/consents', await this.#context.sign('ConsentRequest', body));
  }

  async accept(consent: string, until: Date | null = null): Promise<Committed> {
    return this.#answer(consent, 'accept', until);
  }

  async reject(consent: string): Promise<Committed> {
    return this.#answer(consent, 'reject', null);
  }

  async revoke(consent: string): Promise<Committed> {
    const signed = await this.#context.sign('ConsentRevoke', { consent: fromHex(consent) });
    return this.#post(`/v1/consents/${consent}/revoke`, signed);
  }

  list(): Promise<{ consents: readonly ConsentInfo[]; next: string | null }> {
    return this.#context.gateway.json('GET', '/v1/consents');
  }

  async #answer(consent: string, answer: 'accept' | 'reject', until: Date | null): Promise<Committed> {
    const body = { consent: fromHex(consent), answer, until: until === null ? null : until.getTime() };
    return this.#post(`/v1/consents/${consent}/${answer}`, await this.#context.sign('ConsentAnswer', body));
  }

  #post(path: string, body: unknown): Promise<Committed> {
    return this.#context.gateway.json('POST', path, { body });
  }
}
