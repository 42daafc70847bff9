/**
 * The known names a mistyped one was probably meant to be: at most `most`, nearest first, equally near ones in byte
 * order. Case is ignored. A name of up to five letters may be one edit away, of up to eight two, a longer one three;
 * beyond that a suggestion is a guess and is not made.
 */
export function nearestNames(wanted: string, known: Iterable<string>, most = 3): string[] {
  const folded = wanted.toLowerCase();
  const limit = Math.min(3, Math.max(1, Math.floor(wanted.length / 3)), wanted.length - 1);
  const near = new Map<string, number>();
  for (const name of known) {
    const distance = editsBetween(folded, name.toLowerCase(), limit);
    if (distance <= limit) near.set(name, distance);
  }
  const nearestFirst = [...near].sort(([a, far], [b, farther]) => far - farther || (a < b ? -1 : 1));
  return nearestFirst.slice(0, most).map(([name]) => name);
}

/** The clause that ends a refusal: `, did you mean "a" or "b"?`, or nothing when no name is near. */
export function didYouMean(names: readonly string[]): string {
  const quoted = names.map((name) => `"${name}"`);
  const last = quoted.pop();
  if (last === undefined) return '';
  return `, did you mean ${quoted.length === 0 ? last : `${quoted.join(', ')} or ${last}`}?`;
}

/**
 * Damerau-Levenshtein distance in its restricted form (no letter is edited twice): insertions, deletions,
 * substitutions and swaps of neighbours. Any number above `limit` means "too far": the count stops there, so that a
 * long list of names costs little.
 */
function editsBetween(from: string, to: string, limit: number): number {
  if (Math.abs(from.length - to.length) > limit) return limit + 1;
  const [source, target] = withoutCommonEnds(from, to);
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: target.length + 1 }, (_, column) => column);
  for (let row = 1; row <= source.length; row++) {
    const current = [row];
    let leastOfRow = row;
    for (let column = 1; column <= target.length; column++) {
      const substituted = at(previous, column - 1) + (source[row - 1] === target[column - 1] ? 0 : 1);
      let least = Math.min(substituted, at(previous, column) + 1, at(current, column - 1) + 1);
      if (row > 1 && column > 1 && isSwap(source, row, target, column))
        least = Math.min(least, at(beforePrevious, column - 2) + 1);
      current.push(least);
      leastOfRow = Math.min(leastOfRow, least);
    }
    // From row to row the least rises by one at most, so a swap, which reaches back two rows, cannot undercut it.
    if (leastOfRow > limit) return limit + 1;
    beforePrevious = previous;
    previous = current;
  }
  return at(previous, target.length);
}

function isSwap(source: string, row: number, target: string, column: number): boolean {
  return source[row - 1] === target[column - 2] && source[row - 2] === target[column - 1];
}

/** What two texts have in common at their ends needs no edit; names of one resource have much. */
function withoutCommonEnds(a: string, b: string): [string, string] {
  const shorter = Math.min(a.length, b.length);
  let head = 0;
  while (head < shorter && a[head] === b[head]) head++;
  let tail = 0;
  while (tail < shorter - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
  return [a.slice(head, a.length - tail), b.slice(head, b.length - tail)];
}

function at(row: readonly number[], column: number): number {
  return row[column] ?? Number.POSITIVE_INFINITY;
}
