/** A first call in each language, ready to paste. */

export interface Snippet {
  name: string;
  code: string;
}

export function snippetsFor(base: string, key: string, model: string): Snippet[] {
  return [
    {
      name: "curl",
      code: `curl ${base}/chat/completions \\
  -H "Authorization: Bearer ${key}" \\
  -H "Content-Type: application/json" \\
  -d '{
    "model": "${model}",
    "messages": [{"role": "user", "content": "Hello!"}]
  }'`,
    },
    {
      name: "Python",
      code: `from openai import OpenAI

client = OpenAI(
    base_url="${base}",
    api_key="${key}",
)
reply = client.chat.completions.create(
    model="${model}",
    messages=[{"role": "user", "content": "Hello!"}],
)
print(reply.choices[0].message.content)`,
    },
    {
      name: "Node",
      code: `import OpenAI from "openai";

const client = new OpenAI({
  baseURL: "${base}",
  apiKey: "${key}",
});
const reply = await client.chat.completions.create({
  model: "${model}",
  messages: [{ role: "user", content: "Hello!" }],
});
console.log(reply.choices[0].message.content);`,
    },
    {
      name: "LangChain",
      code: `from langchain_openai import ChatOpenAI

model = ChatOpenAI(
    model="${model}",
    base_url="${base}",
    api_key="${key}",
)
print(model.invoke("Hello!").content)`,
    },
    {
      name: "Environment",
      code: `export OPENAI_BASE_URL="${base}"
export OPENAI_API_KEY="${key}"`,
    },
  ];
}
