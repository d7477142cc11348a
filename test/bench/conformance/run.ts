import { MODEL_RULES } from './model_rules.ts';
import { LAST_RULE, RECEIVER_RULES } from './receiver_rules.ts';
import type { Finding, Row, Target } from './rule.ts';

/** Checks every rule, one after the other, and gives a row for each, in their order. */
export async function conformance(target: Target): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const { id, rule, check } of [...RECEIVER_RULES, ...MODEL_RULES, LAST_RULE]) {
    let findings: readonly Finding[];
    try {
      findings = await check(target);
    } catch (error) {
      // An answer that cannot be read at all is a finding, too.
      findings = [
        { what: 'the check', holds: false, evidence: error instanceof Error ? error.message : String(error) },
      ];
    }
    rows.push({ id, rule, ...summed(findings) });
  }
  return rows.sort((a, b) => a.id.localeCompare(b.id, 'en', { numeric: true }));
}

function summed(findings: readonly Finding[]): Pick<Row, 'result' | 'evidence'> {
  const told = (list: readonly Finding[]): string =>
    list.map(({ what, evidence }) => `${what}: ${evidence}`).join('; ');
  const broken = findings.filter(({ holds }) => holds === false);
  if (broken.length > 0) return { result: 'fail', evidence: told(broken) };
  const held = findings.filter(({ holds }) => holds === true);
  const unseen = findings.filter(({ holds }) => holds === undefined);
  const rest = unseen.length === 0 ? '' : `; not seen: ${told(unseen)}`;
  if (held.length === 0) return { result: 'unseen', evidence: told(unseen) };
  return { result: 'pass', evidence: `${held.length} checks, such as ${told(held.slice(0, 1))}${rest}` };
}
