// Calls the handler of pages/api/chat.ts as Next.js does, and prints what it answers.
import handler from './pages/api/chat.ts';

await handler({ body: { message: 'Hello!' } }, { json: (value) => console.log(JSON.stringify(value)) });
