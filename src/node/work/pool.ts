/**
 * The worker threads of a process: one pairing instance each, shared by the members that run in the process.
 * Heavy arithmetic never runs on the event loop that answers votes and requests.
 */
import { availableParallelism } from 'node:os';
import { Piscina } from 'piscina';
import { CodedError } from '../../codec/errors.ts';
import { Passwords } from './passwords.ts';
import type { Task, TaskFailure, TaskResults } from './tasks.ts';
import { workerFile } from './worker-file.ts';

/** Tasks that may wait; beyond it callers are told to come back. */
const QUEUE_MAX = 4096;

export class WorkPool {
  /** Not behind the other work. */
  readonly passwords = new Passwords();
  readonly #piscina: Piscina;

  constructor(threads: number = Math.max(1, availableParallelism())) {
    this.#piscina = new Piscina({
      filename: workerFile('worker.js'),
      minThreads: threads,
      maxThreads: threads,
      maxQueue: QUEUE_MAX,
      concurrentTasksPerWorker: 1,
    });
  }

  /** Runs a task on some thread. Throws the coded error of the task, or `node.busy` when the queue is full. */
  async run<T extends Task>(task: T): Promise<TaskResults[T['task']]> {
    let result: unknown;
    try {
      result = await this.#piscina.run(task);
    } catch (cause) {
      if (this.#piscina.queueSize >= QUEUE_MAX) {
        throw new CodedError('node.busy', 'the worker threads have too much to do: try again', { cause });
      }
      throw cause;
    }
    const failure = result as Partial<TaskFailure> | null;
    if (failure !== null && typeof failure === 'object' && failure.failed === true) {
      throw new CodedError(failure.code ?? 'node.worker', failure.message ?? 'a worker failed', {
        details: { ...failure.details },
      });
    }
    return result as TaskResults[T['task']];
  }

  get threads(): number {
    return this.#piscina.threads.length;
  }

  async close(): Promise<void> {
    await Promise.all([this.#piscina.destroy(), this.passwords.close()]);
  }
}
