import { readFileSync } from 'node:fs';
import { type Command, EXIT } from './shell.ts';

export const versionCommand: Command = {
  name: 'version',
  synopsis: '',
  summary: 'print the version',
  options: {},
  arguments: [0, 0],
  async run(_given, shell) {
    shell.out(`performance-optimizer ${packageVersion()}, Node.js ${process.versions.node}`);
    return EXIT.ok;
  },
};

/** Of this package: `package.json` lies as far above `dist/command` as above `agent/command`. */
export function packageVersion(): string {
  const { version }: { version: string } = JSON.parse(
    readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
  );
  return version;
}
