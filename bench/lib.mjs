// lib.mjs - what the benchmarks share: a release server, load from wrk, a table at the end.
//
// Every figure is a ratio of two things measured in the same run, one after the other in turns, so
// that a noisy machine is noisy for both. Nothing here leaves loopback.
import { spawn, spawnSync, execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync, rmSync, existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { startCity, root } from '../tests/lib/city.mjs';

export const quick = process.env.BENCH_QUICK === '1'; // smaller sizes, for trying the scripts

export async function startRelease(options = {}) {
    process.env.MARUGOTO_BIN ??= path.join(root, 'build/marugoto');
    return startCity(options);
}

export const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];

function wrkCommand(url, { connections = 50, threads = 1, seconds = quick ? 1 : 3, script, cpu, headers = {} }) {
    const lines = Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`]);
    const args = [`-t${threads}`, `-c${connections}`, `-d${seconds}s`, '--latency', ...lines, ...(script ? ['-s', script] : []), url];
    return cpu === undefined ? ['wrk', args] : ['taskset', ['-c', String(cpu), 'wrk', ...args]];
}

function wrkResult(url, out) {
    if (/Non-2xx/.test(out)) throw new Error(`errors from ${url}:\n${out}`);
    const unit = { us: 0.001, ms: 1, s: 1000 };
    const part = (percent) => {
        const [, n, of] = new RegExp(`${percent}%\\s+([\\d.]+)(us|ms|s)`).exec(out);
        return Number(n) * unit[of];
    };
    return { rate: Number(/Requests\/sec:\s+([\d.]+)/.exec(out)[1]), requests: Number(/(\d+) requests in/.exec(out)[1]), p50: part(50), p99: part(99) };
}

// One wrk run; returns requests per second, p50 and p99 in ms. Fails on any answer that is not 2xx.
export function wrk(url, options = {}) {
    return wrkResult(url, execFileSync(...wrkCommand(url, options), { encoding: 'utf8' }));
}

// The same at several servers at once; the sum of their rates.
export async function wrkAll(urls, options = {}) {
    const runs = urls.map((url) => new Promise((done, fail) => {
        execFile(...wrkCommand(url, options), (error, out) => {
            try {
                if (error) throw error;
                done(wrkResult(url, out).rate);
            } catch (e) { fail(e); }
        });
    }));
    return (await Promise.all(runs)).reduce((x, y) => x + y);
}

// Turns of a and b; the median of each and their ratio.
export function sideBySide(a, b, rounds = quick ? 1 : 3) {
    const x = [], y = [];
    for (let i = 0; i < rounds; i++) {
        x.push(a());
        y.push(b());
    }
    return { a: median(x), b: median(y), ratio: median(x) / median(y) };
}

// nginx with one worker serving a folder of files on a free port.
export async function startNginx(files, cpu) {
    const dir = mkdtempSync(path.join(tmpdir(), 'marugoto-nginx-'));
    const port = 20000 + Math.floor(Math.random() * 20000);
    for (const [name, bytes] of Object.entries(files)) writeFileSync(path.join(dir, name), bytes);
    writeFileSync(path.join(dir, 'nginx.conf'), `
daemon off; worker_processes 1; pid ${dir}/pid; error_log ${dir}/error.log;
events { worker_connections 1024; }
http { access_log off; sendfile on; tcp_nodelay on; default_type application/json; keepalive_requests 1000000;
  client_body_temp_path ${dir}; proxy_temp_path ${dir}; fastcgi_temp_path ${dir}; uwsgi_temp_path ${dir}; scgi_temp_path ${dir};
  server { listen 127.0.0.1:${port}; root ${dir}; } }`);
    spawnSync('chmod', ['-R', 'a+rX', dir]);
    const child = spawn('taskset', ['-c', String(cpu), 'nginx', '-c', path.join(dir, 'nginx.conf'), '-p', dir], { stdio: 'ignore' });
    for (let i = 0; i < 100 && !existsSync(path.join(dir, 'pid')); i++) await new Promise((go) => setTimeout(go, 20));
    await new Promise((go) => setTimeout(go, 100));
    return {
        url: `http://127.0.0.1:${port}`,
        stop: async () => {
            child.kill('SIGTERM');
            await new Promise((done) => child.once('exit', done));
            rmSync(dir, { recursive: true, force: true });
        },
    };
}

export function pin(city, cpus) {
    spawnSync('taskset', ['-a', '-p', '-c', cpus, String(city.pid)], { stdio: 'ignore' });
}

// Processor time that the server has used, microseconds: says what work costs on a machine that is busy.
export function cpuTime(city) {
    const stat = readFileSync(`/proc/${city.pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) * 10000;
}

const rows = [];

// goal: 'min' (value must be at least limit) or 'max'.
export function report(name, value, limit, goal, detail) {
    const met = goal === 'min' ? value >= limit : value <= limit;
    rows.push({ name, value, limit, goal, met, detail });
    console.log(`${met ? 'met   ' : 'MISSED'} ${name}: ${format(value)} (goal ${goal === 'min' ? '>=' : '<='} ${limit}) ${detail}`);
}

export const format = (n) => (n >= 100 ? n.toFixed(0) : n >= 10 ? n.toFixed(1) : n.toPrecision(3));

// A 2 KB entity as cities have them: sensor with units, times, a place, texts.
export function sensor(i, extra = {}) {
    const at = new Date(Date.UTC(2026, 10, 1) + (i % 100000) * 1000).toISOString();
    return {
        id: `urn:ngsi-ld:AirQualityObserved:bench-${String(i).padStart(7, '0')}`,
        type: 'AirQualityObserved',
        name: { type: 'Property', value: `観測局 ${i}` },
        temperature: { type: 'Property', value: (i * 7919 % 4000) / 100, unitCode: 'CEL', observedAt: at },
        relativeHumidity: { type: 'Property', value: (i * 104729 % 100) / 100, observedAt: at },
        pm25: { type: 'Property', value: i % 50, unitCode: 'GQ', observedAt: at },
        status: { type: 'Property', value: i % 10 ? 'ok' : 'maintenance' },
        address: { type: 'Property', value: { addressRegion: '茨城県', addressLocality: 'つくばのはら市', streetAddress: `中央${i % 90}丁目${i % 30}番地` } },
        refDevice: { type: 'Relationship', object: `urn:ngsi-ld:Device:${i}` },
        location: { type: 'GeoProperty', value: { type: 'Point', coordinates: [140.0 + (i * 6151 % 2000) / 10000, 36.0 + (i * 3571 % 2000) / 10000] } },
        description: { type: 'Property', value: '市内の観測局です。'.repeat(12) },
        ...extra,
    };
}

// Entities from..to by batch create.
export async function load(city, from, to, make = sensor, size = 500) {
    for (let i = from; i < to; i += size) {
        const batch = [];
        for (let k = i; k < Math.min(i + size, to); k++) batch.push(make(k));
        const res = await city.post('/ngsi-ld/v1/entityOperations/create', batch);
        if (res.status !== 201) throw new Error(`batch create: ${res.status} ${res.text.slice(0, 300)}`);
    }
}
