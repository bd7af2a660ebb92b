/** The door to the Kubo backend. Its client takes most of a second to load, so only those who use it load it. */
import type { PayloadStore } from '../payload/payload-store.ts';
import type { KuboOptions } from './store.ts';

/**
 * A payload store over the daemon at `options.url`. Nothing is sent before the first call. Throws from its calls
 * `storage.kubo_unreachable`, `storage.kubo_refused`, `storage.kubo_timeout`, `storage.kubo_failed`.
 */
export async function kuboStore(options: KuboOptions): Promise<PayloadStore> {
  const { storeOverKubo } = await import('./store.ts');
  return storeOverKubo(options);
}
