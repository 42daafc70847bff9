/** What the order of layers follows from. */
interface Dependent {
  readonly id: string;
  readonly dependsOn: readonly string[];
}

/**
 * Layers so that each stands after those it depends on, and otherwise in the order of their ids: one order, whatever the
 * order given. Dependencies that are not among them do not count. What is left over depends on itself, directly or not,
 * and comes back as `cyclic`.
 */
export function orderLayers<Layer extends Dependent>(
  layers: readonly Layer[],
): { readonly ordered: readonly Layer[]; readonly cyclic: readonly Layer[] } {
  let waiting = layers.toSorted((a, b) => (a.id < b.id ? -1 : 1));
  const given = new Set(layers.map(({ id }) => id));
  const placed = new Set<string>();
  const ordered: Layer[] = [];
  for (;;) {
    const next = waiting.find(({ dependsOn }) => dependsOn.every((id) => placed.has(id) || !given.has(id)));
    if (next === undefined) return { ordered, cyclic: waiting };
    ordered.push(next);
    placed.add(next.id);
    waiting = waiting.filter((layer) => layer !== next);
  }
}

/** The ids that a layer sees: those it depends on, and those that they do. */
export function dependenciesOf(id: string, layers: readonly Dependent[]): ReadonlySet<string> {
  const byId = new Map(layers.map((layer) => [layer.id, layer]));
  const seen = new Set(byId.get(id)?.dependsOn);
  for (const next of seen) for (const further of byId.get(next)?.dependsOn ?? []) seen.add(further);
  return seen;
}
