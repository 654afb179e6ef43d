/**
 * A session as a notebook: each cell is run by the same process, so what one defines the next can use.
 *
 *     node examples/notebook.mjs          against `make serve`, or the gateway that SGW_ADDRESS names
 */

import { Inference, SessionGatewayError } from '@sessiongateway/client';

const client = new Inference();

async function notebook() {
  const session = client.session('interpreter', { sessionTimeout: 300, keepalive: true });
  try {
    await session.call({ code: 'numbers = [n * n for n in range(10)]' });
    const { output } = await session.call({ code: 'sum(numbers)' });
    console.log('the cell says', output.result ?? output);
    console.log('calls so far:', session.info.callCount);
  } finally {
    await session.end();
  }
}

async function rows() {
  const session = client.session('sql');
  try {
    await session.call('load', { name: 'cities', path: 'cities.csv' });
    const stream = session.stream('rows', { sql: 'SELECT * FROM cities', batch_rows: 10 });
    for await (const batch of stream) {
      console.log(`${batch.rows.length} rows, the first is`, batch.rows[0]);
    }
    console.log('rows in all:', stream.result.output.row_count);
  } finally {
    await session.end();
  }
}

async function failure() {
  try {
    await client.run({ app: 'kv', function: 'get_value', input: { kee: 'a' } });
  } catch (error) {
    if (!(error instanceof SessionGatewayError)) {
      throw error;
    }
    console.log(error.name, error.code, error.runState, error.fieldViolations);
  }
}

try {
  await notebook();
  await rows();
  await failure();
} finally {
  await client.close();
}
