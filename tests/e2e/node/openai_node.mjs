// The official Node client against every model of $MODELS; prints one JSON object, a member a model.
import OpenAI from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';

const client = new OpenAI({ apiKey: process.env.API_KEY, baseURL: process.env.BASE_URL });
const hello = [{ role: 'user', content: 'Hello!' }];
const tools = [{
  type: 'function',
  function: { name: 'get_weather', parameters: { type: 'object', properties: { city: { type: 'string' } } } },
}];
const Weather = z.object({ city: z.string(), celsius: z.number() });

async function streamed(model) {
  const stream = await client.chat.completions.create({ model, messages: hello, stream: true });
  let text = '';
  let last;
  for await (const chunk of stream) {
    text += chunk.choices[0].delta.content || '';
    last = chunk;
  }
  return { text, finish: last.choices[0].finish_reason, cached: last.x_WatchLLM_cached };
}

async function called(model) {
  const runner = client.chat.completions.stream({ model, messages: [{ role: 'user', content: 'both' }], tools });
  const message = await runner.finalMessage();
  return message.tool_calls.map((call) => [call.id, call.function.name, JSON.parse(call.function.arguments)]);
}

async function trial(model) {
  const { data, response } = await client.chat.completions.create({ model, messages: hello }).withResponse();
  const parsed = await client.chat.completions.parse({
    model, messages: hello, response_format: zodResponseFormat(Weather, 'weather'),
  });
  return {
    text: data.choices[0].message.content,
    usage: [data.usage.prompt_tokens, data.usage.completion_tokens],
    cost: data.x_WatchLLM_cost_usd,
    provider: response.headers.get('x-watchllm-provider'),
    streamed: await streamed(model),
    calls: await called(model),
    parsed: parsed.choices[0].message.parsed,
  };
}

async function failure(action) {
  try {
    await action();
  } catch (error) {
    return [error.constructor.name, error.status, error.code];
  }
  return null;
}

const report = { models: {} };
for (const model of process.env.MODELS.split(',')) report.models[model] = await trial(model);
const embedded = await client.embeddings.create({ model: 'text-embedding-3-small', input: ['a', 'b'] });
report.vectors = embedded.data.map((item) => item.embedding);
report.listed = (await client.models.list()).data.some((model) => model.id === 'gpt-4');
const legacy = await client.completions.create({ model: 'gpt-3.5-turbo-instruct', prompt: 'Once upon a time' });
report.legacy = legacy.choices[0].text;
const stranger = new OpenAI({ apiKey: 'lgw_proj_unknown', baseURL: process.env.BASE_URL });
report.failures = {
  stranger: await failure(() => stranger.chat.completions.create({ model: 'gpt-4', messages: hello })),
  model: await failure(() => client.chat.completions.create({ model: 'no-such-model', messages: hello })),
  lookup: await failure(() => client.models.retrieve('no-such-model')),
};
console.log(JSON.stringify(report));
