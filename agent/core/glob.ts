/** Whole texts that match `glob`, in which `*` stands for any run of characters. */
export function globPattern(glob: string): RegExp {
  const escaped = glob.split('*').map((literal) => literal.replace(/[.+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${escaped.join('.*')}$`, 's');
}
