#!/usr/bin/env node
// TLS without a proxy: a certificate made for trials, certificates of one's own, HSTS.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import https from 'node:https';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import tls from 'node:tls';
import { test, run } from '../lib/tap.mjs';
import { startCity } from '../lib/city.mjs';
import { command } from '../lib/command.mjs';

const folder = mkdtempSync(path.join(tmpdir(), 'marugoto-tls-'));

function get(city, target, options = {}) {
    return new Promise((done, fail) => {
        https.get(city.url + target, { rejectUnauthorized: false, agent: false, ...options }, (res) => {
            let text = '';
            const certificate = res.socket.getPeerCertificate(), protocol = res.socket.getProtocol();
            res.on('data', (piece) => { text += piece; });
            res.on('end', () => done({ status: res.statusCode, headers: res.headers, text, certificate, protocol }));
        }).on('error', fail);
    });
}

test('--http.tls_cert=self serves https with a certificate for localhost, without HSTS', async () => {
    const city = await startCity({ args: ['--http.tls_cert=self'] });
    assert.match(city.url, /^https:/);
    const answer = await get(city, '/healthz');
    assert.equal(answer.status, 200);
    assert.equal(answer.text, 'ok\n');
    // A browser that remembered it for localhost would refuse all other local sites.
    assert.equal(answer.headers['strict-transport-security'], undefined);
    assert.match(answer.certificate.subjectaltname, /DNS:localhost/);
    assert.equal(answer.protocol, 'TLSv1.3');
    await city.stop();
});

test('plain HTTP has no HSTS', async () => {
    const city = await startCity();
    const { headers } = await city.get('/healthz');
    assert.equal(headers.get('strict-transport-security'), null);
    await city.stop();
});

test('old protocols and plain text on the TLS port are refused, and do no harm', async () => {
    const city = await startCity({ args: ['--http.tls_cert=self'] });
    await assert.rejects(new Promise((done, fail) => {
        const socket = tls.connect({ port: city.port, host: '127.0.0.1', rejectUnauthorized: false, minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' }, () => done(socket.destroy()));
        socket.on('error', fail);
    }));
    const said = await new Promise((done) => {
        let text = '';
        const socket = net.connect(city.port, '127.0.0.1', () => socket.end('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'));
        socket.on('data', (piece) => { text += piece; });
        socket.on('error', () => {});
        socket.on('close', () => done(text));
    });
    assert.doesNotMatch(said, /200 OK/);
    assert.equal((await get(city, '/healthz')).status, 200);
    await city.stop();
});

test('a certificate of one\'s own is served, with HSTS; faults in it are named', async () => {
    const cert = path.join(folder, 'cert.pem'), key = path.join(folder, 'key.pem');
    const made = spawnSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
        '-subj', '/CN=city.example', '-addext', 'subjectAltName=DNS:city.example,IP:127.0.0.1', '-keyout', key, '-out', cert], { encoding: 'utf8' });
    assert.equal(made.status, 0, made.stderr);
    const city = await startCity({ args: [`--http.tls_cert=${cert}`, `--http.tls_key=${key}`] });
    const answer = await get(city, '/healthz');
    assert.equal(answer.certificate.subject.CN, 'city.example');
    assert.match(answer.headers['strict-transport-security'] ?? '', /max-age=\d{5,}/);
    await city.stop();

    const junk = path.join(folder, 'junk.pem');
    writeFileSync(junk, 'not a certificate\n');
    const serve = (...args) => {
        const { code, err } = command(['serve', '--data', path.join(folder, 'city'), '--port', '0', '--app.log_level=off', ...args]);
        assert.equal(code, 1, err);
        return err;
    };
    assert.match(serve(`--http.tls_cert=${cert}`), /http\.tls_cert is set, http\.tls_key is not/);
    assert.match(serve(`--http.tls_cert=${junk}`, `--http.tls_key=${key}`), /junk\.pem is not a PEM file/);
    assert.match(serve(`--http.tls_cert=${folder}/none.pem`, `--http.tls_key=${key}`), /cannot read .*none\.pem: No such file/);
});

await run(() => rmSync(folder, { recursive: true, force: true }));
