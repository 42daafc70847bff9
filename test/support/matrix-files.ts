import { readFileSync } from 'node:fs';
import { shippedBaseline } from '../../src/cli/matrix-files.ts';
import { builtinLayer } from '../../src/domain/matrix/builtin.ts';
import type { MatrixLayer } from '../../src/domain/matrix/document.ts';
import { parseMatrixFiles } from '../../src/domain/matrix/parse.ts';

/** The layers of a baseline with these sections and of layers on top of it, each as the text after `version: 1`. */
export function matrixOf(baseline: string, ...layers: string[]): readonly MatrixLayer[] {
  const texts = [baseline, ...layers].map((text, number) => ({
    name: number === 0 ? 'baseline.yaml' : `layers/${number}.yaml`,
    text: `version: 1\n${text}`,
  }));
  return parseMatrixFiles(texts, builtinLayer).layers;
}

/** The shipped baseline and a layer on top of it that lets loaders see prices, as a request carries them. */
export const filesWithLayer = [
  { name: 'baseline.yaml', text: readFileSync(shippedBaseline, 'utf8') },
  {
    name: 'layers/prices.yaml',
    text: 'version: 1\nid: prices\nadd: { loader: [orders.view_prices] }\n',
  },
];
