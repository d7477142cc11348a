/**
 * The running agent as few files without comments and blanks: V8 keeps the text of every module that it has loaded, and a
 * module has a price of its own. In one piece the agent is 5 MiB smaller, resident. Names stay, for traces to be read.
 *
 * `node deploy/bundle.ts [DIST]`. Only the agent is put together so, from `dist/` and into it: commands, the library and the client remain single modules with
 * their types. What it has of other packages stands under their licences, in their folders beside it.
 */
import { join } from 'node:path';
import { build } from 'esbuild';

const dist = process.argv[2] ?? 'dist';

await build({
  entryPoints: {
    agent: join(dist, 'command', 'agent.js'),
    // Started by their file's name, next to whoever starts them.
    disk_worker: join(dist, 'adapters', 'upstream', 'disk_worker.js'),
    reader_process: join(dist, 'adapters', 'gpu', 'reader_process.js'),
    system_worker: join(dist, 'adapters', 'host', 'system_worker.js'),
  },
  outdir: join(dist, 'command'),
  allowOverwrite: true,
  bundle: true,
  splitting: true,
  platform: 'node',
  format: 'esm',
  target: 'node24',
  // Carries a binary, and may be absent.
  external: ['koffi'],
  minifyWhitespace: true,
  minifySyntax: true,
  legalComments: 'none',
  sourcemap: true,
  sourcesContent: false,
  logLevel: 'warning',
  // For what is CommonJS and asks for Node's own modules.
  banner: { js: "import{createRequire as requireFrom}from'node:module';const require=requireFrom(import.meta.url);" },
});
