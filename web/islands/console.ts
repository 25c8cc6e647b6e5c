// How far an import is: asks until it is over, then shows the report.

interface Progress {
    state: 'running' | 'done' | 'refused';
    done: number;
    total: number;
}

const ASK_MS = 400;

async function follow(box: HTMLElement, url: string): Promise<void> {
    const bar = box.querySelector('progress');
    const text = document.getElementById('progress-text');
    const number = new Intl.NumberFormat(document.documentElement.lang);
    for (;;) {
        const answer = await fetch(url);
        if (!answer.ok) return;
        const at = (await answer.json()) as Progress;
        if (at.state !== 'running') {
            location.reload();
            return;
        }
        if (bar && at.total > 0) bar.value = (100 * at.done) / at.total;
        if (text) text.textContent = at.total > 0 ? `${number.format(at.done)} / ${number.format(at.total)}` : '';
        await new Promise((go) => setTimeout(go, ASK_MS));
    }
}

const box = document.getElementById('progress');
if (box?.dataset['progress']) void follow(box, box.dataset['progress']);
