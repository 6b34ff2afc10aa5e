// A question to the server: JSON where it answers so, else an ArrayBuffer. Throws an Error with the server's sentence.
async function askServer(path, body) {
  let answer;
  try {
    answer = await fetch(`/api/${path}`, body === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(plainValue(body)) });
  } catch {
    throw new Error("the server does not answer; the page goes on with what it has");
  }
  const json = (answer.headers.get("content-type") || "").startsWith("application/json");
  // `refused`: the question itself cannot be answered, now or later.
  if (!answer.ok) throw Object.assign(new Error(json ? (await answer.json()).error : `the server answers ${answer.status}`), { refused: answer.status === 400 });
  return json ? answer.json() : answer.headers.get("content-type").startsWith("text/") ? answer.text() : answer.arrayBuffer();
}

// Typed arrays as lists, so that JSON carries them.
function plainValue(value) {
  if (ArrayBuffer.isView(value)) return Array.from(value);
  if (Array.isArray(value)) return value.map(plainValue);
  if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, plainValue(each)]));
  return value;
}
