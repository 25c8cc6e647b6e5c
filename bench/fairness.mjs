#!/usr/bin/env node
// Neighbours: what a quiet tenant loses while another one hammers, with and without a quota on that one, and while
// receivers of its own notifications are silent or slow. The server has one core; the loads share the other, and
// the noisy one, 50 clients of wrk, gives way to the quiet one there, so that what is measured is the server.
//
// The quiet tenant offers updates at a fixed rate, a fifth of what the server can do, whether or not those before
// were answered. One counts as served when the answer comes within a second of the moment it was due, and its time
// runs from that moment. A prompt receiver is told of some of the updates.
import http from 'node:http';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { startRelease, pin, median, report, format, quick } from './lib.mjs';

const seconds = quick ? 2 : 4, rounds = quick ? 1 : 3;
const entities = 50, told = 10; // an update in ten is of the entity that the prompt receiver follows
const agent = new http.Agent({ keepAlive: true, maxSockets: 1000 });
const city = await startRelease({ args: ['--client.allow_private=true', '--http.workers=1'] });
pin(city, '0');
spawnSync('taskset', ['-a', '-p', '-c', '1', String(process.pid)], { stdio: 'ignore' });

const headers = (tenant) => ({ 'NGSILD-Tenant': tenant });
async function must(method, target, tenant, body) {
    const res = await city.request(method, target, { body, headers: headers(tenant) });
    if (res.status >= 300) throw new Error(`${method} ${target}: ${res.status} ${res.text}`);
    return res;
}
const entity = (i) => ({ id: `urn:x:${i}`, type: 'Sensor', level: { type: 'Property', value: 0 } });
for (const tenant of ['quiet', 'noisy'])
    await must('POST', '/ngsi-ld/v1/entityOperations/create', tenant, Array.from({ length: entities }, (_, i) => entity(i)));

/* --- the noisy tenant --- */

const dir = mkdtempSync(path.join(tmpdir(), 'marugoto-bench-'));
const script = path.join(dir, 'noise.lua');
writeFileSync(script, `
local n = 0
request = function()
  n = n + 1
  local body = string.format('{"level":{"type":"Property","value":%d}}', n)
  return wrk.format("PATCH", "/ngsi-ld/v1/entities/urn:x:" .. n % ${entities} .. "/attrs", {["Content-Type"] = "application/json", ["NGSILD-Tenant"] = "noisy"}, body)
end`);
// The updates that it makes in a second.
function hammer(time) {
    const child = spawn('nice', ['-n', '10', 'taskset', '-c', '1', 'wrk', '-t1', '-c50', `-d${time}s`, '-s', script, city.url]);
    let out = '';
    child.stdout.on('data', (text) => { out += text; });
    return new Promise((done) => child.once('exit', () => {
        const all = Number(/(\d+) requests in/.exec(out)[1]), refused = Number(/Non-2xx or 3xx responses: (\d+)/.exec(out)?.[1] ?? 0);
        done((all - refused) / time);
    }));
}

/* --- the quiet tenant --- */

let delays = []; // of notifications at the prompt receiver, ms
function listen(onBody) {
    const server = http.createServer((req, res) => {
        let text = '';
        req.on('data', (part) => { text += part; });
        req.on('end', () => onBody(text, res));
    }).listen(0, '127.0.0.1');
    return new Promise((done) => server.once('listening', () => done(server)));
}
const prompt = await listen((text, res) => {
    const now = performance.now();
    for (const e of JSON.parse(text).data) if (e.level.value) delays.push(now - e.level.value);
    res.end();
});
const silent = await listen(() => {}), slow = await listen((_, res) => setTimeout(() => res.end(), 1000));
const subscription = (server, i) => ({
    type: 'Subscription', entities: [{ type: 'Sensor', ...(server === prompt ? { id: 'urn:x:0' } : {}) }],
    notification: { endpoint: { uri: `http://127.0.0.1:${server.address().port}/${i}` } },
});
const subscribe = async (server, i) => (await must('POST', '/ngsi-ld/v1/subscriptions', 'quiet', subscription(server, i))).headers.get('location');
await subscribe(prompt, 0);

function patch(id, value, due) {
    return new Promise((done) => {
        const req = http.request({ agent, port: city.port, method: 'PATCH', path: `/ngsi-ld/v1/entities/${id}/attrs`, headers: { 'Content-Type': 'application/json', ...headers('quiet') } }, (res) => {
            res.resume();
            res.on('end', () => done(res.statusCode === 204 ? performance.now() - due : Infinity));
        });
        req.on('error', () => done(Infinity));
        req.end(JSON.stringify({ level: { type: 'Property', value } }));
    });
}
// What is offered, served and told in one round. No two values are alike: what does not change is not told.
async function offer(rate) {
    const start = performance.now(), answers = [];
    delays = [];
    for (let n = 0; n < rate * seconds;) {
        const now = performance.now();
        for (; n < rate * seconds && start + n * 1000 / rate <= now; n++)
            answers.push(patch(n % told ? `urn:x:${1 + n % (entities - 1)}` : 'urn:x:0', now + n * 1e-6, start + n * 1000 / rate));
        await new Promise((go) => setTimeout(go, 1));
    }
    const times = (await Promise.all(answers)).sort((a, b) => a - b);
    await new Promise((go) => setTimeout(go, 500)); // notifications that are on their way
    const at = (list, part) => list[Math.floor(list.length * part)] ?? Infinity;
    return {
        served: times.filter((t) => t <= 1000).length / times.length, p50: at(times, 0.5), p99: at(times, 0.99),
        told: delays.length / (times.length / told), delay: at(delays.sort((a, b) => a - b), 0.5),
    };
}

/* --- the rounds --- */

async function beside(rate) {
    const noise = hammer(seconds);
    const x = await offer(rate);
    return { ...x, noise: await noise };
}
const quota = (q) => must('PUT', '/link/v1/policies/quota', 'noisy', q);
const cases = {
    alone: offer,
    bounded: async (rate) => {
        await quota({ writes_s: 50 });
        const x = await beside(rate);
        await must('DELETE', '/link/v1/policies/quota', 'noisy');
        return x;
    },
    unbounded: beside,
    unheard: async (rate) => {
        const made = [];
        for (let i = 0; i < 20; i++) made.push(await subscribe(i % 2 ? silent : slow, i));
        const x = await offer(rate);
        for (const location of made) await must('DELETE', location, 'quiet');
        return x;
    },
};
await hammer(1);
await offer(50); // both are warm
const capacity = await hammer(2);
const rate = Math.max(20, Math.min(500, Math.round(capacity / 5)));
console.log(`the server makes ${format(capacity)} updates/s of 50 clients; the quiet tenant offers ${rate}/s`);
const seen = Object.fromEntries(Object.keys(cases).map((name) => [name, []]));
for (let i = 0; i < rounds; i++)
    for (const name of Object.keys(cases)) seen[name].push(await cases[name](rate));

const mid = (name, what) => median(seen[name].map((x) => x[what]));
const names = {
    bounded: 'a noisy tenant with a quota of 50 writes/s',
    unbounded: 'a noisy tenant without a quota',
    unheard: '20 subscriptions whose receivers are silent or slow',
};
for (const [name, text] of Object.entries(names)) {
    const noise = name === 'unheard' ? '' : `; the noisy one makes ${format(mid(name, 'noise'))}/s`;
    const sides = (what, unit) => `${format(mid(name, what))}${unit} : ${format(mid('alone', what))}${unit}`;
    report(`updates of a quiet tenant served beside ${text} : alone`, mid(name, 'served') / mid('alone', 'served'), 0.95, 'min', `of ${rate}/s offered${noise}`);
    report('    their p50 : alone', mid(name, 'p50') / mid('alone', 'p50'), 1.05, 'max', `${sides('p50', ' ms')}; p99 ${sides('p99', ' ms')}`);
    report('    notifications that reached a prompt receiver : alone', mid(name, 'told') / mid('alone', 'told'), 0.95, 'min', `${format(mid(name, 'told'))} : ${format(mid('alone', 'told'))} of those due; p50 after ${sides('delay', ' ms')}`);
}
rmSync(dir, { recursive: true, force: true });
for (const server of [prompt, silent, slow]) {
    server.closeAllConnections();
    server.close();
}
await city.stop();
process.exit(0);
