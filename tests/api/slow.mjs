#!/usr/bin/env node
// Slow clients at the product's default settings: dribbled headers and bodies are closed in time,
// and others are served meanwhile.
import assert from 'node:assert/strict';
import net from 'node:net';
import { test, run } from '../lib/tap.mjs';
import { startCity } from '../lib/city.mjs';

const city = await startCity();

// Sends `first`, then a byte from `drip` each `pause` ms. Resolves, when the server closes, with
// how long that took and what it said; fails after `limit` seconds.
function dribble(first, drip, pause, limit) {
    return new Promise((done, fail) => {
        const socket = net.connect(city.port, '127.0.0.1');
        const begin = Date.now();
        let said = '', sent = 0;
        const timer = setInterval(() => {
            if (!socket.destroyed) socket.write(drip[sent++ % drip.length]);
        }, pause);
        const giveUp = setTimeout(() => {
            clearInterval(timer);
            socket.destroy();
            fail(new Error(`still open after ${limit} s: ${JSON.stringify(first.slice(0, 40))}`));
        }, limit * 1000);
        socket.on('connect', () => socket.write(first));
        socket.on('data', (text) => { said += text; });
        socket.on('error', () => {});
        socket.on('close', () => {
            clearInterval(timer);
            clearTimeout(giveUp);
            done({ seconds: (Date.now() - begin) / 1000, said });
        });
    });
}

const head = (line, length) => `${line} HTTP/1.1\r\nHost: city\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n`;

// All at once: they wait for the same seconds.
const slow = {
    'a request line, one byte a second': dribble('G', 'ET /healthz', 1000, 15),
    'header lines, one byte a second': dribble('GET /healthz HTTP/1.1\r\nHost: city\r\nX-A: ', 'a', 1000, 15),
    'a new header line each second': dribble('GET /healthz HTTP/1.1\r\nHost: city\r\n', ['X-A: b\r\n'], 1000, 15),
    'nothing after the connection is open': dribble('', [''], 1000, 15),
    'a body of one byte a second': dribble(head('POST /ngsi-ld/v1/entities', 100000), ' ', 1000, 15),
    'a body that stops': dribble(head('POST /ngsi-ld/v1/entities', 100000) + '{', [''], 1000, 15),
    'chunks of one byte a second': dribble('POST /ngsi-ld/v1/entities HTTP/1.1\r\nHost: city\r\n'
        + 'Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n', ['1\r\n \r\n'], 1000, 15),
};
for (let i = 0; i < 40; i++) slow[`one of many (${i})`] = dribble('GET / HTTP/1.1\r\nX: ', 'x', 700 + i, 15);
const outcomes = Promise.allSettled(Object.values(slow));

test('others are served while slow ones hang', async () => {
    for (let i = 0; i < 50; i++) {
        const begin = Date.now();
        assert.equal((await city.get('/healthz')).status, 200);
        assert.ok(Date.now() - begin < 2000);
        await new Promise((go) => setTimeout(go, 50));
    }
});

test('dribbled headers and bodies are closed within 15 s', async () => {
    const names = Object.keys(slow);
    for (const [i, outcome] of (await outcomes).entries()) {
        assert.equal(outcome.status, 'fulfilled', `${names[i]}: ${outcome.reason?.message}`);
        const { said, seconds } = outcome.value;
        assert.ok(said === '' || said.startsWith('HTTP/1.1 408'), `${names[i]}, after ${seconds} s: ${said.slice(0, 200)}`);
    }
});

test('a slow but honest body is taken', async () => {
    const body = JSON.stringify({ id: 'urn:x:slow', type: 'Slow', pad: { type: 'Property', value: 'x'.repeat(8000) } });
    const said = await new Promise((done, fail) => {
        const socket = net.connect(city.port, '127.0.0.1', () => socket.write(head('POST /ngsi-ld/v1/entities', body.length)));
        let text = '', at = 0;
        const timer = setInterval(() => {
            socket.write(body.slice(at, at + 400));
            at += 400;
            if (at >= body.length) clearInterval(timer);
        }, 200);
        socket.on('data', (piece) => {
            text += piece;
            if (text.includes('\r\n\r\n')) socket.destroy(), done(text);
        });
        socket.on('error', fail);
        setTimeout(() => fail(new Error('no answer in 15 s')), 15000).unref();
    });
    assert.match(said, /^HTTP\/1\.1 201/);
});

await run(() => city.stop());
