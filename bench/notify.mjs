#!/usr/bin/env node
// Notifications: 10,000 subscriptions, 500 updates a second of which each concerns 16 of them. Every
// one must arrive, in order for each (subscription, entity). Then the same with the receiver away.
import http from 'node:http';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Worker, isMainThread, parentPort } from 'node:worker_threads';
import { fileURLToPath } from 'node:url';
import { format, quick, report, startRelease } from './lib.mjs';

const share = 16, entities = quick ? 62 : 625, subs = entities * share;
const rate = quick ? 200 : 500, seconds = quick ? 3 : 10;
const away = quick ? 2 : 60, few = rate / 4; // a minute away, at a quarter of the rate
const type = 'BenchSensor';
const urn = (k) => `urn:ngsi-ld:${type}:${k}`;

// The receiver has a thread of its own; it answers "how many, and how many out of order".
function receive() {
    let got = 0, repeated = 0, disordered = 0, server, last = new Map();
    const sockets = new Set();
    const take = (req, res) => {
        let text = '';
        req.setEncoding('utf8');
        req.on('data', (part) => { text += part; });
        req.on('end', () => {
            const body = JSON.parse(text);
            for (const e of body.data) {
                const key = body.subscriptionId + e.id, seen = last.get(key) ?? -1;
                if (e.n === seen) repeated++;
                else if (e.n !== seen + 1) disordered++;
                else got++;
                last.set(key, e.n);
            }
            res.writeHead(204).end();
        });
    };
    const up = (port) => {
        server = http.createServer(take).listen(port, '127.0.0.1', () => parentPort.postMessage({ port: server.address().port }));
        server.on('connection', (s) => { sockets.add(s); s.once('close', () => sockets.delete(s)); });
    };
    parentPort.on('message', (m) => {
        if (m.up !== undefined) up(m.up);
        if (m.down) { server.close(() => parentPort.postMessage({ down: true })); sockets.forEach((s) => s.destroy()); }
        if (m.count) parentPort.postMessage({ got, repeated, disordered });
        if (m.forget) { got = repeated = disordered = 0; }
    });
}

const ask = (worker, message) => new Promise((done) => {
    worker.once('message', done);
    worker.postMessage(message);
});

async function main() {
    const worker = new Worker(fileURLToPath(import.meta.url));
    const { port } = await ask(worker, { up: 0 });
    const options = {
        data: mkdtempSync(path.join(tmpdir(), 'marugoto-bench-')),
        args: ['--client.allow_private=true', '--link.notify_retry_max_s=5', '--client.connections_per_host=32'],
    };
    let city = await startRelease(options);
    const agent = new http.Agent({ keepAlive: true, maxSockets: 32 });
    const send = (method, target, body) => new Promise((done, fail) => {
        const req = http.request(city.url + target, { method, agent, headers: { 'Content-Type': 'application/json' } }, (res) => {
            res.resume();
            res.on('end', () => (res.statusCode < 300 ? done() : fail(new Error(`${method} ${target}: ${res.statusCode}`))));
        });
        req.once('error', fail);
        req.end(JSON.stringify(body));
    });
    const next = new Array(entities).fill(0);
    for (let k = 0; k < entities; k++)
        await send('POST', '/ngsi-ld/v1/entities', { id: urn(k), type, n: { type: 'Property', value: -1 } });
    let made = 0;
    await Promise.all([...Array(32).keys()].map(async () => {
        while (made < subs) {
            const i = made++;
            await send('POST', '/ngsi-ld/v1/subscriptions', {
                id: `urn:ngsi-ld:Subscription:${i}`, type: 'Subscription', entities: [{ type, id: urn(i % entities) }],
                watchedAttributes: ['n'], notification: { format: 'keyValues', endpoint: { uri: `http://127.0.0.1:${port}/n` } },
            });
        }
    }));

    // `count` updates at the given rate; resolves when the last one was acknowledged.
    const update = async (count, rate) => {
        const begin = performance.now(), running = new Set();
        let slowest = 0;
        for (let i = 0; i < count; i++) {
            const k = Math.floor(Math.random() * entities), at = performance.now();
            const one = send('PATCH', `/ngsi-ld/v1/entities/${urn(k)}/attrs`, { n: { type: 'Property', value: next[k]++ } })
                .then(() => { slowest = Math.max(slowest, performance.now() - at); running.delete(one); });
            running.add(one);
            const wait = begin + ((i + 1) * 1000) / rate - performance.now();
            if (wait > 1) await new Promise((go) => setTimeout(go, wait));
        }
        await Promise.all(running);
        return { seconds: (performance.now() - begin) / 1000, slowest };
    };
    const arrived = async (expected, limit) => {
        const until = performance.now() + limit * 1000;
        for (;;) {
            const c = await ask(worker, { count: true });
            if (c.got + c.disordered >= expected || performance.now() > until) return c;
            await new Promise((go) => setTimeout(go, 50));
        }
    };

    const cpu0 = process.cpuUsage();
    const run = await update(rate * seconds, rate);
    const at = performance.now();
    const count = await arrived(rate * seconds * share, 120);
    const late = (performance.now() - at) / 1000;
    const expected = rate * seconds * share;
    report('notifications delivered in order : due', count.got / expected, 1, 'min',
        `${format(count.got)} : ${format(expected)} at ${format(expected / run.seconds)}/s, last ${late.toFixed(1)} s after the last update, slowest update ${run.slowest.toFixed(0)} ms`);

    worker.postMessage({ forget: true });
    await ask(worker, { down: true });
    const gone = await update(few * away, few);
    const back = performance.now();
    await ask(worker, { up: port });
    const due = few * away * share;
    const all = await arrived(due, 300);
    report('receiver away, then back: delivered in order : due', all.got / due, 1, 'min',
        `${format(all.got)} : ${format(due)}, ${all.repeated} repeated, ${((performance.now() - back) / 1000).toFixed(1)} s after its return (away ${gone.seconds.toFixed(0)} s)`);
    console.log(`# server ${format(city.rss() / 1e6)} MB with ${subs} subscriptions; CPU of this script ${((process.cpuUsage(cpu0).user) / 1e6).toFixed(1)} s`);
    await city.stop();
    const start = performance.now();
    city = await startRelease(options);
    report(`ready with ${subs} subscriptions on disk, ms`, performance.now() - start, 150, 'max', 'process start included');
    await city.stop();
    rmSync(options.data, { recursive: true, force: true });
    await worker.terminate();
}

if (isMainThread) await main();
else receive();
