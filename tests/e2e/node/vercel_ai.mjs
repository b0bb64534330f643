// Vercel's AI SDK, by both of its providers, against every model of $MODELS; prints one JSON object.
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, embedMany, generateText, isStepCount, Output, RetryError, streamText, tool } from 'ai';
import { z } from 'zod';

const address = { apiKey: process.env.API_KEY, baseURL: process.env.BASE_URL };
const openai = createOpenAI(address);
const compatible = createOpenAICompatible({
  ...address, name: 'watchllm', includeUsage: true, supportsStructuredOutputs: true,
});
const stop = isStepCount(3);
const tools = {
  get_weather: tool({
    description: 'Tell the weather.',
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => `21 degrees in ${city}`,
  }),
};
const Weather = z.object({ city: z.string(), celsius: z.number() });

async function streamed(model) {
  let text = '';
  const result = streamText({ model, prompt: 'Hello!' });
  for await (const piece of result.textStream) text += piece;
  return { text, finish: await result.finishReason, tokens: (await result.usage).totalTokens };
}

async function agent(model, run) {
  const calls = [];
  const onStepEnd = ({ toolCalls }) => { calls.push(...toolCalls.map((call) => [call.toolName, call.input])); };
  const text = await run({ model, prompt: 'both', tools, stopWhen: stop, onStepEnd });
  return { text, calls };
}

const whole = async (options) => (await generateText(options)).text;
const flowing = async (options) => await streamText(options).text;

async function trial(model) {
  const { text, usage, finishReason } = await generateText({ model, prompt: 'Hello!' });
  const structured = await generateText({ model, prompt: 'Weather?', output: Output.object({ schema: Weather }) });
  return {
    text,
    finish: finishReason,
    tokens: [usage.inputTokens, usage.outputTokens],
    streamed: await streamed(model),
    agent: await agent(model, whole),
    streamedAgent: await agent(model, flowing),
    output: structured.output,
  };
}

async function failure(model) {
  try {
    await generateText({ model, prompt: 'Hello!' });
  } catch (error) {
    const last = RetryError.isInstance(error) ? error.lastError : error;
    return [APICallError.isInstance(last), last.statusCode, JSON.parse(last.responseBody).error.code];
  }
  return null;
}

const report = { openai: {}, compatible: {} };
for (const model of process.env.MODELS.split(',')) {
  report.openai[model] = await trial(openai.chat(model));
  report.compatible[model] = await trial(compatible(model));
}
const values = ['a', 'b'];
report.vectors = [
  (await embedMany({ model: openai.embedding('text-embedding-3-small'), values })).embeddings,
  (await embedMany({ model: compatible.embeddingModel('text-embedding-3-small'), values })).embeddings,
];
report.failures = {
  model: await failure(openai.chat('no-such-model')),
  key: await failure(createOpenAI({ ...address, apiKey: 'lgw_proj_unknown' }).chat('gpt-4')),
};
console.log(JSON.stringify(report));
