// `npm start`: a consortium of four hospitals on this machine, and a tour of what it does.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { prepare, root } from './prepare.mjs';

prepare();
const cli = spawn(
  process.execPath,
  [join(root, 'dist', 'cli', 'main.js'), 'up', '--tour', ...process.argv.slice(2)],
  {
    stdio: 'inherit',
    // Four members flush their logs at once; libuv's four threads would make them wait for each other.
    env: { UV_THREADPOOL_SIZE: '16', ...process.env },
  },
);
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => cli.kill(signal));
cli.on('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 1)));
