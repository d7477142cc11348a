import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { runCommandLine } from '../../agent/command/command.ts';

async function perfopt(...argv: string[]): Promise<string> {
  const out: string[] = [];
  await runCommandLine({
    argv,
    environment: {},
    out: (text) => out.push(text),
    err: (text) => out.push(text),
    hasColours: false,
    onSignal: () => () => undefined,
    exit: () => undefined,
  });
  return out.join('\n');
}

/** What a real bash would offer for the last of these words. */
function offered(script: string, ...words: string[]): readonly string[] {
  const drive = `COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}; _perfopt perfopt '${words.at(-1)}' '${words.at(-2)}'; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = spawnSync('bash', ['--norc', '-c', `${script}\n${drive}`], { encoding: 'utf8' });
  expect(stderr).toBe('');
  return stdout.split('\n').filter((line) => line !== '');
}

test('bash offers commands, their options, and what an option or an argument may be', async () => {
  const script = await perfopt('completion', 'bash');
  expect(offered(script, 'perfopt', 'dec')).toEqual(['decisions']);
  expect(offered(script, 'perfopt', 'decisions', '--li')).toEqual(['--limit']);
  expect(offered(script, 'perfopt', 'decisions', '--kind', 'pro')).toEqual(['promoted', 'proposed']);
  expect(offered(script, 'perfopt', 'completion', 'z')).toEqual(['zsh']);
  expect(offered(script, 'perfopt', 'mode', 'embedder', 'rec')).toEqual(['recommend']);
});

test.each(['bash', 'zsh', 'fish'])('the script for %s knows every command', async (shell) => {
  const script = await perfopt('completion', shell);
  const names = [...(await perfopt('help')).matchAll(/^ {2}(\w+) {2}/gm)].map(([, name = '']) => name);
  expect(names.filter((name) => !script.includes(name))).toEqual(
    shell === 'bash' ? [] : names.filter((n) => n === 'help'),
  );
  expect(names.length).toBeGreaterThan(12);
});

test('another shell is told which there are', async () => {
  expect(await perfopt('completion', 'tcsh')).toContain('completion tcsh: allowed: bash, zsh, fish');
});
