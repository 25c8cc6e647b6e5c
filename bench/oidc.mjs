#!/usr/bin/env node
// The OpenID Provider beside npm's oidc-provider, which keeps everything in memory: introspection of an opaque token
// and client_credentials with private_key_jwt and a JWT as access token (ES256 both), 16 connections each. Ours answers
// after fsync. Then the whole
// code flow of somebody who is signed in: PAR, authorize, token, UserInfo. Servers on one processor, load on another.
import { createPrivateKey, sign } from 'node:crypto';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import * as jose from 'jose';
import { makeClient, makeKey, random, sha256, startCityWithPeople } from '../tests/lib/oidc.mjs';
import { root } from '../tests/lib/city.mjs';
import { format, median, pin, quick, report, sideBySide, wrk } from './lib.mjs';

if (process.argv[2] === 'peer') {
    const { default: Provider } = await import('oidc-provider');
    const [key, port] = [JSON.parse(process.argv[3]), Number(process.argv[4])];
    const own = await makeKey();
    const api = { scope: 'api', accessTokenTTL: 600, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } };
    const provider = new Provider(`http://127.0.0.1:${port}`, {
        clients: [
            { client_id: 'signer', token_endpoint_auth_method: 'private_key_jwt', token_endpoint_auth_signing_alg: 'ES256', jwks: { keys: [key] }, grant_types: ['client_credentials'], response_types: [], redirect_uris: [], id_token_signed_response_alg: 'ES256' },
            { client_id: 'server', client_secret: 'a-secret-of-the-bench', grant_types: ['client_credentials'], response_types: [], redirect_uris: [], id_token_signed_response_alg: 'ES256' },
        ],
        clientAuthMethods: ['private_key_jwt', 'client_secret_basic'],
        jwks: { keys: [{ ...(await jose.exportJWK(own.privateKey)), kid: own.kid, use: 'sig', alg: 'ES256' }] },
        features: { clientCredentials: { enabled: true }, resourceIndicators: { enabled: true, defaultResource: (ctx, client) => (client.clientId === 'signer' ? 'https://api.example' : undefined), getResourceServerInfo: () => api, useGrantedResource: () => true }, introspection: { enabled: true, allowedPolicy: () => true }, devInteractions: { enabled: false } },
        ttl: { ClientCredentials: 600 },
    });
    provider.listen(port, '127.0.0.1', () => console.log('ready'));
    await new Promise(() => {});
}

const cpus = { server: 0, load: 1 };
const seconds = quick ? 1 : 3, connections = 16;
const dir = mkdtempSync(path.join(tmpdir(), 'marugoto-bench-'));
const key = await makeKey();
const pem = createPrivateKey({ key: await jose.exportJWK(key.privateKey), format: 'jwk' });
const port = 20000 + Math.floor(Math.random() * 20000);
const peer = spawn('taskset', ['-c', String(cpus.server), process.execPath, fileURLToPath(import.meta.url), 'peer', JSON.stringify(key.jwk), String(port)], { stdio: ['ignore', 'pipe', 'ignore'], cwd: root, env: { ...process.env, NODE_ENV: 'production' } });
process.once('exit', () => peer.kill('SIGKILL'));
const peerReady = await new Promise((done) => {
    peer.stdout.once('data', () => done(true));
    peer.once('exit', () => done(false));
});
const city = await startCityWithPeople([1]);
pin(city, String(cpus.server));
const own = { grant_types: ['client_credentials'], scope: 'api' };
const signer = await makeClient(city, { ...own, access_token_format: 'jwt' }, { key });
const server = await makeClient(city, { ...own, introspection: true });
const basic = (id, secret) => `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`;

// Assertions, each good for one request.
const b64 = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
function assertions(id, issuer, n) {
    const head = b64({ alg: 'ES256', kid: key.kid }), now = Math.floor(Date.now() / 1000), lines = [];
    for (let i = 0; i < n; i++) {
        const text = `${head}.${b64({ iss: id, sub: id, aud: issuer, jti: random(), iat: now, exp: now + 240 })}`;
        lines.push(`${text}.${sign('sha256', Buffer.from(text), { key: pem, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`);
    }
    return lines;
}
let scripts = 0;
function script(text) {
    const file = path.join(dir, `${++scripts}.lua`);
    writeFileSync(file, text);
    return file;
}
const post = (body, auth) => script(`
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
${auth ? `wrk.headers["Authorization"] = "${auth}"` : ''}
wrk.body = "${body}"`);
function once(id, issuer, n) {
    const list = path.join(dir, `assertions-${++scripts}`);
    writeFileSync(list, assertions(id, issuer, n).join('\n'));
    return script(`
local lines = {}
for line in io.lines("${list}") do lines[#lines + 1] = line end
local n = 0
request = function()
  n = n + 1
  return wrk.format("POST", nil, {["Content-Type"] = "application/x-www-form-urlencoded"},
    "grant_type=client_credentials&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion=" .. lines[n])
end`);
}
// Processor time of a process so far, microseconds: what a request costs does not depend on what else is running.
function used(pid) {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ');
    return (Number(fields[11]) + Number(fields[12])) * 10000;
}
// One run; its processor time a request goes to costs.
function run(pid, url, file, costs) {
    const before = used(pid);
    const r = wrk(url, { connections, seconds, script: file, cpu: cpus.load });
    costs.push((used(pid) - before) / (r.rate * seconds));
    return r;
}

if (peerReady) {
    const at = `http://127.0.0.1:${port}`;
    const theirs = await (await fetch(`${at}/token`, { method: 'POST', headers: { Authorization: basic('server', 'a-secret-of-the-bench'), 'Content-Type': 'application/x-www-form-urlencoded' }, body: 'grant_type=client_credentials' })).json();
    const ours = (await server.token({ grant_type: 'client_credentials' })).json;
    const a = post(`token=${ours.access_token}`, basic(server.id, server.secret)), b = post(`token=${theirs.access_token}`, basic('server', 'a-secret-of-the-bench'));
    const p99 = [];
    let [x, y] = [[], []];
    const asked = sideBySide(() => {
        const r = run(city.pid, `${city.url}/oidc/introspect`, a, x);
        p99.push(r.p99);
        return r.rate;
    }, () => run(peer.pid, `${at}/token/introspection`, b, y).rate);
    const cost = () => `processor time a request ${format(median(x))} us and ${format(median(y))} us`;
    report('introspection beside oidc-provider in memory', asked.ratio, 8, 'min', `${format(asked.a)}/s and ${format(asked.b)}/s, p99 ${format(median(p99))} ms, ${cost()}`);
    [x, y] = [[], []];
    const given = sideBySide(() => run(city.pid, `${city.url}/oidc/token`, once(signer.id, city.url, 9000 * seconds), x).rate,
        () => run(peer.pid, `${at}/token`, once('signer', at, 4000 * seconds), y).rate);
    report('client_credentials with private_key_jwt, after fsync, beside oidc-provider in memory', given.ratio, 5, 'min', `${format(given.a)}/s and ${format(given.b)}/s, ${cost()}`);
} else {
    console.log('SKIP   beside oidc-provider: it does not run on this Node.js');
}
peer.kill('SIGKILL');

// PAR, authorize, token, UserInfo: a thread of wrk for each browser, so that steps follow one another.
const rp = await makeClient(city, { redirect_uris: ['http://127.0.0.1/back'], sandbox: true, scope: 'openid', consent: 'none' });
const verifier = random(32);
const flow = script(`
local step, uri, code, token, flows = 0, nil, nil, nil, 0
local form = {["Content-Type"] = "application/x-www-form-urlencoded", ["Authorization"] = "${basic(rp.id, rp.secret)}"}
local cookie = {["Cookie"] = "session=${city.people[0].cookie}"}
request = function()
  if step == 0 then
    return wrk.format("POST", "/oidc/par", form, "response_type=code&redirect_uri=http%3A%2F%2F127.0.0.1%2Fback&scope=openid&state=s&nonce=n&code_challenge_method=S256&code_challenge=${sha256(verifier)}")
  elseif step == 1 then
    return wrk.format("GET", "/oidc/authorize?client_id=${rp.id}&request_uri=" .. uri, cookie)
  elseif step == 2 then
    return wrk.format("POST", "/oidc/token", form, "grant_type=authorization_code&redirect_uri=http%3A%2F%2F127.0.0.1%2Fback&code_verifier=${verifier}&code=" .. code)
  end
  return wrk.format("GET", "/oidc/userinfo", {["Authorization"] = "Bearer " .. token})
end
response = function(status, headers, body)
  if step == 0 then uri = body:match('"request_uri":"([^"]+)"')
  elseif step == 1 then code = headers["Location"]:match("code=([^&]+)")
  elseif step == 2 then token = body:match('"access_token":"([^"]+)"')
  end
  step = (step + 1) % 4
end`);
const flows = [];
for (let i = 0; i < (quick ? 1 : 3); i++) flows.push(wrk(city.url, { connections, threads: connections, seconds, script: flow, cpu: cpus.load }).rate / 4);
report('whole code flows a second, after fsync (PAR, authorize, token, UserInfo)', median(flows), 1000, 'min', `${connections} at once, ${format(city.rss() / 1048576)} MB afterwards`);
await city.stop();
rmSync(dir, { recursive: true, force: true });
