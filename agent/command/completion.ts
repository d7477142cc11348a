import { type Command, CommandError, EXIT } from './shell.ts';
import { printable } from './text.ts';

const SHELLS = ['bash', 'zsh', 'fish'] as const;
type ShellName = (typeof SHELLS)[number];

const INSTALL: Readonly<Record<ShellName, string>> = {
  bash: 'source <(perfopt completion bash)            # in ~/.bashrc',
  zsh: 'source <(perfopt completion zsh)             # in ~/.zshrc, after compinit',
  fish: 'perfopt completion fish > ~/.config/fish/completions/perfopt.fish',
};

/** `table` is asked when the command runs: whatever commands there are then are completed. */
export function completionCommand(table: () => readonly Command[]): Command {
  return {
    name: 'completion',
    synopsis: SHELLS.join('|'),
    summary: 'print a script that lets a shell complete commands, options and what they allow',
    details: SHELLS.map((name) => `  ${name.padEnd(5)} ${INSTALL[name]}`),
    options: {},
    arguments: [1, 1],
    words: SHELLS,
    async run({ positionals: [word = ''] }, shell) {
      const name = SHELLS.find((known) => known === word);
      if (name === undefined)
        throw new CommandError(`completion ${printable(word)}: allowed: ${SHELLS.join(', ')}`, EXIT.usage);
      shell.out(SCRIPTS[name](table()));
      return EXIT.ok;
    },
  };
}

const SCRIPTS: Readonly<Record<ShellName, (commands: readonly Command[]) => string>> = {
  bash: bashScript,
  zsh: zshScript,
  fish: fishScript,
};

/** `--name`, and `-n` where there is one. */
function optionsOf({ options }: Command): readonly string[] {
  return Object.entries(options).flatMap(([name, { short }]) => [
    `--${name}`,
    ...(short === undefined ? [] : [`-${short}`]),
  ]);
}

/** What may follow an option, where that is one of a few words. */
function valuesOf({ choices = {}, options }: Command): readonly { readonly given: string; readonly words: string }[] {
  return Object.entries(choices).map(([name, words]) => {
    const short = options[name]?.short;
    return { given: short === undefined ? `--${name}` : `--${name}|-${short}`, words: words.join(' ') };
  });
}

/** Where a shell has one word list for all arguments: what any of them may be, then the options. */
function everyWord(command: Command): string {
  return [...(command.words ?? []), ...optionsOf(command), '--help'].join(' ');
}

/** Bash hands its function the word as $2 and the one before as $3. It falls back to file names where nothing of ours fits. */
function bashScript(commands: readonly Command[]): string {
  const values = commands.flatMap((command) =>
    valuesOf(command).flatMap(({ given, words }) =>
      given
        .split('|')
        .map((option) => `    ${command.name}:${option}) COMPREPLY=($(compgen -W '${words}' -- "$word")); return ;;`),
    ),
  );
  return [
    '_perfopt() {',
    `  local word=$2 before=$3 command=\${COMP_WORDS[1]}`,
    '  COMPREPLY=()',
    '  if [ "$COMP_CWORD" -eq 1 ]; then',
    `    COMPREPLY=($(compgen -W '${[...commands.map(({ name }) => name), 'help'].join(' ')}' -- "$word")); return`,
    '  fi',
    '  case "$command:$before" in',
    ...values,
    '  esac',
    '  case "$command" in',
    ...commands.map(
      (command) => `    ${command.name}) COMPREPLY=($(compgen -W '${everyWord(command)}' -- "$word")) ;;`,
    ),
    `    help) COMPREPLY=($(compgen -W '${commands.map(({ name }) => name).join(' ')}' -- "$word")) ;;`,
    '  esac',
    '}',
    'complete -o default -F _perfopt perfopt',
  ].join('\n');
}

function zshScript(commands: readonly Command[]): string {
  const described = commands.map(({ name, summary }) => `    ${quoted(`${name}:${summary}`)}`);
  const values = commands.flatMap((command) =>
    valuesOf(command).flatMap(({ given, words }) =>
      given.split('|').map((option) => `    ${command.name}:${option}) compadd -- ${words}; return ;;`),
    ),
  );
  return [
    '#compdef perfopt',
    '_perfopt() {',
    '  local -a commands=(',
    ...described,
    '  )',
    '  if (( CURRENT == 2 )); then _describe command commands; return; fi',
    '  case "$words[2]:$words[CURRENT-1]" in',
    ...values,
    '  esac',
    '  case "$words[2]" in',
    ...commands.map((command) => `    ${command.name}) compadd -- ${everyWord(command)}; _files ;;`),
    '  esac',
    '}',
    // Sourced, it announces itself; found by name in a folder of $fpath, it is already being asked.
    'if [[ $funcstack[1] == _perfopt ]]; then _perfopt "$@"; else compdef _perfopt perfopt; fi',
  ].join('\n');
}

function fishScript(commands: readonly Command[]): string {
  return commands
    .flatMap((command) => {
      const here = `complete -c perfopt -n '__fish_seen_subcommand_from ${command.name}'`;
      const words = command.words ?? [];
      return [
        `complete -c perfopt -f -n __fish_use_subcommand -a ${command.name} -d ${quoted(command.summary)}`,
        ...(words.length === 0 ? [] : [`${here} -f -a '${words.join(' ')}'`]),
        ...Object.entries(command.options).map(([name, { type, short }]) => {
          const choices = command.choices?.[name];
          const takes = choices !== undefined ? ` -x -a '${choices.join(' ')}'` : type === 'string' ? ' -r' : '';
          return `${here} -l ${name}${short === undefined ? '' : ` -s ${short}`}${takes}`;
        }),
      ];
    })
    .join('\n');
}

/** For a shell, whatever is in it. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
