#!/usr/bin/env node
// Neighbours: what the updates of one tenant lose while another writes with many clients, with and
// without a quota on that one, and while a receiver of notifications does not answer.
import http from 'node:http';
import { startRelease, report, format, quick } from './lib.mjs';

const seconds = quick ? 2 : 6;
const clients = 4; // of the quiet tenant, each with a pause between two updates
const noise = 32; // of the noisy one, without any
const agent = new http.Agent({ keepAlive: true, maxSockets: 1000 });
const city = await startRelease({ args: ['--client.allow_private=true'] });

function call(method, path, tenant, body) {
    return new Promise((done, fail) => {
        const req = http.request({ agent, port: city.port, method, path, headers: { 'Content-Type': 'application/json', 'NGSILD-Tenant': tenant } }, (res) => {
            res.resume();
            res.on('end', () => done(res.statusCode));
        });
        req.on('error', fail);
        req.end(JSON.stringify(body));
    });
}
const entity = (i) => ({ id: `urn:x:${i}`, type: 'Sensor', level: { type: 'Property', value: 0 } });
for (const tenant of ['quiet', 'noisy'])
    for (let i = 0; i < noise; i++) await call('POST', '/ngsi-ld/v1/entities', tenant, entity(i));

// Updates in a row by n clients until the time is over; the number of those that were made.
async function update(tenant, n, pause, until) {
    let made = 0;
    await Promise.all(Array.from({ length: n }, async (_, i) => {
        for (let v = 0; performance.now() < until; v++) {
            const status = await call('PATCH', `/ngsi-ld/v1/entities/urn:x:${i}/attrs`, tenant, { level: { type: 'Property', value: v } });
            made += status === 204;
            if (pause || status === 429) await new Promise((go) => setTimeout(go, pause || 100));
        }
    }));
    return made / seconds;
}
async function round(noisy) {
    const until = performance.now() + seconds * 1000;
    const [quiet, loud] = await Promise.all([update('quiet', clients, 20, until), noisy ? update('noisy', noise, 0, until) : 0]);
    return { quiet, loud };
}

await round(false);
const alone = await round(false);
const beside = await round(true);
report('updates of a quiet tenant beside a noisy one : alone', beside.quiet / alone.quiet, 0.95, 'min',
    `${format(beside.quiet)}/s : ${format(alone.quiet)}/s; the noisy one makes ${format(beside.loud)}/s`);
await city.request('PUT', '/link/v1/policies/quota', { body: { writes_s: 50 }, headers: { 'NGSILD-Tenant': 'noisy' } });
const bounded = await round(true);
report('the same with a quota of 50 writes/s on the noisy one', bounded.quiet / alone.quiet, 0.95, 'min',
    `${format(bounded.quiet)}/s : ${format(alone.quiet)}/s; the noisy one makes ${format(bounded.loud)}/s`);

const silent = http.createServer(() => {}).listen(0, '127.0.0.1');
await new Promise((done) => silent.once('listening', done));
for (let i = 0; i < 20; i++)
    await call('POST', '/ngsi-ld/v1/subscriptions', 'quiet', { type: 'Subscription', entities: [{ type: 'Sensor' }], notification: { endpoint: { uri: `http://127.0.0.1:${silent.address().port}/${i}` } } });
const unheard = await round(false);
report('updates with 20 subscriptions whose receiver is silent : without', unheard.quiet / alone.quiet, 0.95, 'min',
    `${format(unheard.quiet)}/s : ${format(alone.quiet)}/s`);
silent.closeAllConnections();
silent.close();
await city.stop();
process.exit(0);
