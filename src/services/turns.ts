/** Resolves when everything that arrived with the present turn of the event loop, or with so many of them, was looked at. */
export async function endOfTurn(turns = 1): Promise<void> {
  for (let turn = 0; turn < turns; turn += 1)
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
}
