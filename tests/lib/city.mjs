// city.mjs - a real server process for tests.
//
//     const city = await startCity({ args: ['--demo'] });
//     const res = await city.get('/healthz');
//     await city.stop();
//
// MARUGOTO_BIN names the program (default build-asan/src/app/marugoto). With MARUGOTO_TEST_PG (a server
// URL such as postgres://user@127.0.0.1:5433/postgres) every city gets an empty database of its own.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
export const bin = process.env.MARUGOTO_BIN ?? path.join(root, 'build-asan/src/app/marugoto');
export const shared = process.env.MARUGOTO_SHARED ?? path.resolve(root, '../shared');

let databases = 0;
process.setMaxListeners(0);

function makeDatabase() {
    const base = process.env.MARUGOTO_TEST_PG;
    if (!base) return null;
    const name = `t_${process.pid}_${++databases}`;
    const made = spawnSync('psql', ['-q', '-d', base, '-c', `CREATE DATABASE ${name}`]);
    if (made.status !== 0) throw new Error(`cannot make a database: ${made.stderr}`);
    const url = new URL(base);
    url.pathname = `/${name}`;
    return { url: url.href, drop: () => spawnSync('psql', ['-q', '-d', base, '-c', `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`]) };
}

// Starts `marugoto serve` on a free port and waits for its ready line.
// options: args (more arguments), env, data (folder to use and keep), port.
export async function startCity(options = {}) {
    const dir = options.data ?? mkdtempSync(path.join(tmpdir(), 'marugoto-test-'));
    const database = options.store ? null : makeDatabase();
    const store = options.store ?? database?.url;
    const args = ['serve', '--data', dir, '--port', String(options.port ?? 0), '--address', '127.0.0.1',
        '--app.log_level=warn', '--http.rate_per_s=0', ...(store ? ['--store', store] : []), ...(options.args ?? [])];
    const child = spawn(bin, args, { env: { ...process.env, ...options.env }, stdio: ['ignore', 'pipe', 'pipe'] });
    const city = { dir, child, pid: child.pid, store, errors: '' };
    city.exited = new Promise((done) => child.once('exit', (code, signal) => done({ code, signal })));
    process.once('exit', () => child.kill('SIGKILL')); // a failed test leaves no server behind
    child.stderr.on('data', (text) => { city.errors += text; });
    city.url = await new Promise((ready, fail) => {
        let out = '';
        const timer = setTimeout(() => fail(new Error(`not ready in 60 s: ${out}${city.errors}`)), 60000);
        child.stdout.on('data', (text) => {
            out += text;
            const line = /serves (https?):\/\/[^:]+:(\d+)\//.exec(out);
            if (line) {
                clearTimeout(timer);
                ready(`${line[1]}://127.0.0.1:${line[2]}`);
            }
        });
        city.exited.then((end) => fail(new Error(`ended at start (${end.code ?? end.signal}): ${city.errors}`)));
    });
    city.port = Number(new URL(city.url).port);

    // One request; body may be an object (sent as JSON). Gives { status, headers, text, json }.
    city.request = async (method, target, { body, headers = {}, type } = {}) => {
        const init = { method, headers: { ...headers }, redirect: 'manual' };
        if (body !== undefined) {
            init.body = typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body);
            init.headers['Content-Type'] = type ?? 'application/json';
        }
        const res = await fetch(city.url + target, init);
        const text = await res.text();
        let json;
        try { json = JSON.parse(text); } catch { /* not JSON */ }
        return { status: res.status, headers: res.headers, text, json };
    };
    city.get = (target, headers) => city.request('GET', target, { headers });
    city.post = (target, body, options2 = {}) => city.request('POST', target, { body, ...options2 });
    city.patch = (target, body, options2 = {}) => city.request('PATCH', target, { body, ...options2 });
    city.put = (target, body, options2 = {}) => city.request('PUT', target, { body, ...options2 });
    city.delete = (target, headers) => city.request('DELETE', target, { headers });
    city.rss = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))[1]) * 1024;

    // Ends the process and says how; removes the data unless it was given.
    city.end = async (signal) => {
        child.kill(signal);
        return city.exited;
    };
    city.kill = () => city.end('SIGKILL');
    city.stop = async () => {
        const end = await city.end('SIGTERM');
        if (!options.data) rmSync(dir, { recursive: true, force: true });
        database?.drop();
        if (end.code !== 0) throw new Error(`ended with ${end.code ?? end.signal}: ${city.errors}`);
        return end;
    };
    return city;
}

// Calls fn until it gives something true, or fails after ms.
export async function eventually(fn, ms = 30000, step = 25) {
    const until = Date.now() + ms;
    for (;;) {
        const value = await fn();
        if (value) return value;
        if (Date.now() > until) throw new Error(`nothing in ${ms} ms: ${fn}`);
        await new Promise((go) => setTimeout(go, step));
    }
}

export const sleep = (ms) => new Promise((go) => setTimeout(go, ms));
