/** Resolves when everything that arrived with the present turn of the event loop, and as many more, was looked at. */
export async function endOfTurn(turns = 1): Promise<void> {
  for (let turn = 0; turn < turns; turn += 1)
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
}
