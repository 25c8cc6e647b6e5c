// broker.mjs - a real MQTT broker (Debian's mosquitto) on loopback, and somebody who listens to it.
//
//     const broker = await startBroker();                 // or { user, password, tls: true }
//     const heard = await broker.listen('city/#');        // heard.all: [{ topic, qos, text, json }]
//     const door = await broker.door();                   // door.port leads to it; door.shut(), door.open()
//     await broker.stop();
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { eventually } from './city.mjs';

const program = ['/usr/sbin/mosquitto', '/usr/bin/mosquitto'].find(existsSync);
const listener = '/usr/bin/mosquitto_sub';
export const haveBroker = program !== undefined && existsSync(listener);

const freePort = () => new Promise((done) => {
    const server = net.createServer().listen(0, '127.0.0.1', () => {
        const { port } = server.address();
        server.close(() => done(port));
    });
});
const answers = (port) => new Promise((done) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.once('connect', () => { socket.destroy(); done(true); });
    socket.once('error', () => done(false));
});
const run = (...args) => {
    const end = spawnSync(args[0], args.slice(1));
    if (end.status !== 0) throw new Error(`${args.join(' ')}: ${end.stderr}`);
};

export async function startBroker({ user, password, tls, name = 'localhost' } = {}) {
    const dir = mkdtempSync(path.join(tmpdir(), 'marugoto-mqtt-'));
    const port = await freePort();
    const broker = { port, ca: path.join(dir, 'cert.pem'), listeners: [], doors: [] };
    const conf = [`listener ${port} 127.0.0.1`, 'user root', 'persistence false', 'log_dest none'];
    if (user) {
        run('mosquitto_passwd', '-b', '-c', path.join(dir, 'passwords'), user, password);
        chmodSync(path.join(dir, 'passwords'), 0o644);
        conf.push('allow_anonymous false', `password_file ${dir}/passwords`);
    } else {
        conf.push('allow_anonymous true');
    }
    if (tls) {
        run('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
            '-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`, '-keyout', `${dir}/key.pem`, '-out', broker.ca);
        conf.push(`certfile ${broker.ca}`, `keyfile ${dir}/key.pem`);
    }
    writeFileSync(path.join(dir, 'mosquitto.conf'), `${conf.join('\n')}\n`);

    broker.child = spawn(program, ['-c', path.join(dir, 'mosquitto.conf')], { stdio: 'ignore' });
    process.once('exit', () => broker.child.kill('SIGKILL'));
    await eventually(() => answers(port));

    // A way to the broker that can be cut while listeners stay connected.
    broker.door = async () => {
        const door = { port: await freePort() }, sockets = new Set();
        door.open = () => new Promise((done) => {
            door.server = net.createServer((from) => {
                const to = net.connect(port, '127.0.0.1');
                for (const [one, other] of [[from, to], [to, from]]) {
                    sockets.add(one);
                    one.pipe(other);
                    one.on('error', () => other.destroy());
                    one.on('close', () => { sockets.delete(one); other.destroy(); });
                }
            }).listen(door.port, '127.0.0.1', done);
        });
        door.shut = () => new Promise((done) => {
            door.server.close(done);
            for (const socket of sockets) socket.destroy();
        });
        await door.open();
        broker.doors.push(door);
        return door;
    };
    broker.listen = async (topic) => {
        const args = ['-h', '127.0.0.1', '-p', String(port), '-t', topic, '-q', '2', '-d', '-F', '=%j'];
        if (user) args.push('-u', user, '-P', password);
        if (tls) args.push('--cafile', broker.ca, '--insecure');
        const child = spawn('stdbuf', ['-oL', listener, ...args], { stdio: ['ignore', 'pipe', 'ignore'] });
        process.once('exit', () => child.kill('SIGKILL'));
        broker.listeners.push(child);
        const heard = { all: [] };
        let rest = '', ready = false;
        child.stdout.on('data', (data) => {
            const lines = (rest + data).split('\n');
            rest = lines.pop();
            for (const line of lines) {
                if (line.startsWith('Subscribed')) ready = true;
                if (!line.startsWith('=')) continue;
                const { topic: at, qos, payload } = JSON.parse(line.slice(1));
                const entry = { topic: at, qos, text: payload };
                try { entry.json = JSON.parse(payload); } catch { /* not JSON */ }
                heard.all.push(entry);
            }
        });
        await eventually(() => ready);
        return heard;
    };
    broker.stop = async () => {
        for (const door of broker.doors) await door.shut();
        for (const child of [...broker.listeners, broker.child]) child.kill('SIGKILL');
        rmSync(dir, { recursive: true, force: true });
    };
    return broker;
}
