// Neuron types in the page: what packing.py packs and identification.py computes, number for number.
(() => {
  const KINDS = ["unclassified", "specific", "related", "general"];
  const [SPECIFIC, RELATED, GENERAL] = [1, 2, 3];
  const SCORE_PARTS = 2 ** 40;
  const LAM_UNBOUNDED = 0.2;
  const LAM_STEP = 1e-6;

  // Python's round: a half goes to the even neighbour.
  const round = (x) => (x % 1 === 0.5 ? 2 * Math.round(x / 2) : Math.round(x));

  class Refusal extends Error {}

  async function inflate(bytes) {
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  // One Uint16Array of values per language, from deflated bytes (see packing.py).
  async function unpack(head, bytes) {
    const [layers, width, k] = head.shape;
    const size = layers * width;
    const flat = await inflate(bytes);
    const before = new Float64Array(size);
    let scaleBefore = 0;
    return head.scales.map((scale, language) => {
      const values = new Uint16Array(size);
      const [high, low] = [language * size, (k + language) * size];
      for (let i = 0; i < size; i++) {
        const coded = (flat[high + i] << 8) | flat[low + i];
        const difference = coded & 1 ? -(coded + 1) / 2 : coded / 2;
        const expected = scaleBefore ? Math.floor((before[i] * scale) / scaleBefore) : 0;
        values[i] = expected + difference; // modulo 2**16
        before[i] += values[i];
      }
      scaleBefore += scale;
      return values;
    });
  }

  // Another detector's place of each neuron, 1 the best, 0 without a score: its highest bytes first (see packing.py).
  async function unpackPlaces(bytes) {
    const flat = await inflate(bytes);
    const size = flat.length / 4;
    return Uint32Array.from({ length: size }, (_, i) =>
      [0, 1, 2, 3].reduce((place, plane) => 256 * place + flat[plane * size + i], 0),
    );
  }

  // Everything about the probabilities that does not depend on the thresholds, as identification.Identifier; with
  // another detector's places, which then select neurons in place of the score, as scored.Scored.
  class Identifier {
    constructor(head, values, scaled = true, places = null) {
      Object.assign(this, { head, values, scaled, places });
      [this.layers, this.width] = head.shape;
      this.size = this.layers * this.width;
      const widths = head.widths ?? Array(this.layers).fill(this.width); // where layers differ, some places are no neurons
      this.none = (neuron) => neuron % this.width >= widths[Math.floor(neuron / this.width)];
      this.neurons = widths.reduce((sum, width) => sum + width, 0);
      this.placed = places?.reduce((most, place) => Math.max(most, place), 0);
      const tables = new Map(); // languages of one scale share their table
      this.tables = head.scales.map((scale) => {
        if (!tables.has(scale)) {
          const share = (v) => v / scale;
          const p = head.roots ? (v) => share(v) * share(v) : share;
          tables.set(scale, Float64Array.from({ length: scale + 1 }, (_, v) => p(v)));
        }
        return tables.get(scale);
      });
      const bits = head.few && Uint8Array.from(atob(head.few), (byte) => byte.charCodeAt(0));
      this.few = head.few && ((bit) => (bits[bit >> 3] >> (7 - (bit & 7))) & 1);
      this.key = new Float64Array(this.size);
      this.prepare(head.languages);
    }

    // null where the neuron saw too few tokens of the language.
    probability(language, neuron) {
      return this.sawFew(language, neuron) ? null : this.tables[language][this.values[language][neuron]];
    }

    // In a mixture, whether a neuron's expert saw too few tokens of a language for a probability.
    sawFew(language, neuron) {
      if (!this.few) return 0;
      const experts = this.head.experts;
      return this.few(language * this.layers * experts + Math.floor(neuron / (this.width / experts)));
    }

    // Entropies and peaks over some of the languages.
    prepare(codes) {
      if (this.codes?.join() === codes.join()) return;
      if (codes.length < 2) throw new Refusal("Choose at least two languages.");
      const chosen = codes.map((code) => this.head.languages.indexOf(code));
      if (chosen.includes(-1)) throw new Refusal("This page does not have all of the languages asked for.");
      if (this.places && chosen.length < this.head.languages.length) {
        throw new Refusal("This detector's scores are of all languages together.");
      }
      const k = chosen.length;
      this.unitEntropy = this.unitPeak = 1;
      if (this.scaled) {
        this.unitEntropy = Math.log(k);
        this.unitPeak = 0;
        for (let n = 1; n <= k; n++) this.unitPeak += 1 / n;
        this.unitPeak /= k;
      }
      const [entropy, peak, p] = [new Float64Array(this.size), new Float64Array(this.size), new Float64Array(k)];
      const starved = new Uint8Array(this.size); // what saw too few tokens of a chosen language takes no part
      const histograms = this.head.scales.map((scale) => new Uint32Array(scale + 1));
      let taking = this.size;
      for (let i = 0; i < this.size; i++) {
        if (this.none(i) || (this.few && chosen.some((language) => this.sawFew(language, i)))) {
          starved[i] = 1;
          taking--;
        }
        let [total, most, sum] = [0, 0, 0];
        for (let j = 0; j < k && !starved[i]; j++) {
          histograms[chosen[j]][this.values[chosen[j]][i]]++;
          p[j] = this.tables[chosen[j]][this.values[chosen[j]][i]];
          total += p[j];
          if (p[j] > most) most = p[j];
        }
        for (let j = 0; j < k; j++) {
          const share = Math.max(total > 0 ? p[j] / total : 1 / k, 1e-12);
          sum += share * Math.log(share);
        }
        entropy[i] = -sum / this.unitEntropy;
        peak[i] = most / this.unitPeak;
      }
      if (!taking) throw new Refusal("Every neuron saw too few tokens of one of these languages.");
      Object.assign(this, { codes: [...codes], chosen, entropy, peak, histograms, starved, taking });
    }

    // The round(quantile * n)-th smallest of all n probabilities (of neurons that take part).
    tau(quantile) {
      if (!(quantile > 0 && quantile < 1)) throw new Refusal("The quantile is a number between 0 and 1.");
      const n = this.taking * this.chosen.length;
      const rank = Math.min(Math.max(round(quantile * n), 1), n);
      const parts = 4096;
      const sizes = new Float64Array(parts + 1);
      const each = (visit) => {
        for (const language of this.chosen) {
          const [counts, table] = [this.histograms[language], this.tables[language]];
          for (let v = 0; v < counts.length; v++) if (counts[v]) visit(table[v], counts[v]);
        }
      };
      each((p, count) => (sizes[Math.floor(p * parts)] += count));
      let [part, below] = [0, 0];
      while (below + sizes[part] < rank) below += sizes[part++];
      const inside = [];
      each((p, count) => Math.floor(p * parts) === part && inside.push([p, count]));
      inside.sort((one, other) => one[0] - other[0]);
      for (const [p, count] of inside) if ((below += count) >= rank) return p;
    }

    // In how many of the chosen languages p > tau.
    active(tau) {
      const n = new Uint8Array(this.size);
      this.above = this.chosen.map((language) => {
        const least = this.tables[language].findIndex((p) => p > tau);
        return least < 0 ? 65536 : least;
      });
      this.chosen.forEach((language, j) => {
        const [plane, least] = [this.values[language], this.above[j]];
        for (let i = 0; i < plane.length; i++) if (plane[i] >= least && !this.starved[i]) n[i]++;
      });
      return n;
    }

    isActive(j, neuron) {
      return !this.starved[neuron] && this.values[this.chosen[j]][neuron] >= this.above[j];
    }

    // Which neurons have the lowest scores; of equal ones those that come first. Those that take no part are last.
    select(number, lam) {
      const { entropy, peak, key, size, starved } = this;
      const selected = new Uint8Array(size);
      if (this.places) this.places.forEach((place, i) => (selected[i] = place > 0 && place <= number));
      if (this.places || !number) return selected;
      let [low, high] = [Infinity, -Infinity];
      for (let i = 0; i < size; i++) {
        if (starved[i]) {
          key[i] = Infinity;
          continue;
        }
        const x = Math.floor((entropy[i] - lam * peak[i]) * SCORE_PARTS + 0.5);
        key[i] = x;
        if (x < low) low = x;
        if (x > high) high = x;
      }
      const parts = 65536;
      const scale = high > low ? (parts - 1) / (high - low) : 0;
      const part = (i) => Math.floor((key[i] - low) * scale);
      const sizes = new Uint32Array(parts);
      for (let i = 0; i < size; i++) if (!starved[i]) sizes[part(i)]++;
      let [limit, below] = [0, 0];
      while (below + sizes[limit] < number) below += sizes[limit++];
      const inside = [];
      for (let i = 0; i < size; i++) {
        if (starved[i]) continue;
        const own = part(i);
        if (own < limit) selected[i] = 1;
        else if (own === limit) inside.push(i);
      }
      inside.sort((one, other) => key[one] - key[other] || one - other);
      for (const i of inside.slice(0, number - below)) selected[i] = 1;
      return selected;
    }

    // The largest lambda for which no general neuron is selected: the sweep of identification.solve_lam.
    solve(number, n) {
      const { entropy: e, peak: m, size } = this;
      const k = this.chosen.length;
      const [lineE, lineM] = envelope(e, m, n, k);
      let [lowers, uppers, endless, found] = [new Float64Array(size), new Float64Array(size), [], 0];
      for (let i = 0; i < size; i++) {
        if (n[i] === k || this.starved[i]) continue;
        let [lower, upper] = [0, Infinity];
        for (let line = 0; line < lineE.length && upper > lower; line++) {
          const slope = m[i] - lineM[line];
          const height = e[i] - lineE[line];
          if (slope > 0) lower = Math.max(lower, height / slope);
          else if (slope < 0) upper = Math.min(upper, height / slope);
          else if (height >= 0) upper = -Infinity;
        }
        if (!(upper > lower)) continue;
        lowers[found] = lower;
        uppers[found++] = upper;
        if (upper === Infinity) endless.push(lower);
      }
      if (!number || endless.length >= number) {
        let usual = LAM_UNBOUNDED;
        if (!this.scaled) {
          let harmonic = 0;
          for (let i = 1; i <= k; i++) harmonic += 1 / i;
          usual *= (Math.log(k) * k) / harmonic;
        }
        const start = number ? endless.sort((one, other) => one - other)[number - 1] : 0;
        return { lam: Math.max(usual, start + LAM_STEP), bounded: false };
      }
      const fits = (lam) => {
        const selected = this.select(number, lam);
        for (let i = 0; i < size; i++) if (selected[i] && n[i] === k) return false;
        return true;
      };
      lowers = lowers.subarray(0, found).sort().reverse();
      uppers = uppers.subarray(0, found).sort().reverse();
      let [i, j, cover] = [0, 0, 0];
      while (j < found) {
        const leaves = i === found || lowers[j] >= uppers[i]; // at one place, leave before entering
        const top = leaves ? lowers[j++] : uppers[i++];
        cover += leaves ? -1 : 1;
        if (cover < number) continue;
        const bottom = Math.max(lowers[j], i < found ? uppers[i] : -Infinity);
        const short = Number(((Math.ceil(top / LAM_STEP) - 1) * LAM_STEP).toFixed(6));
        for (const lam of [short, (top + bottom) / 2]) {
          if (bottom < lam && lam < top && fits(lam)) return { lam, bounded: true };
        }
      }
      if (fits(0)) return { lam: 0, bounded: true };
      throw new Refusal(
        "No lambda keeps general neurons out of the selected ones: lower the top rate, raise the quantile, or give lambda.",
      );
    }

    // Types at some thresholds; lam null solves it.
    classify({ topRate, lam = null, quantile, languages = this.head.languages }) {
      this.prepare(languages);
      if (!(topRate > 0 && topRate <= 1)) throw new Refusal("The top rate is a share above 0 and up to 1.");
      const wanted = round(topRate * this.taking);
      const [k, number, tau] = [languages.length, Math.min(wanted, this.placed ?? wanted), this.tau(quantile)];
      const n = this.active(tau);
      const solved = lam === null && !this.places;
      let bounded = true;
      if (solved) ({ lam, bounded } = this.solve(number, n));
      if (this.places) lam = null; // of the paper's score alone
      else if (!Number.isFinite(lam)) throw new Refusal("Lambda is a number.");
      const selected = this.select(number, lam);
      const codes = new Uint8Array(this.size);
      for (let i = 0; i < this.size; i++) {
        if (n[i] === k) codes[i] = GENERAL;
        else if (selected[i] && n[i]) codes[i] = n[i] === 1 ? SPECIFIC : RELATED;
      }
      const starved = this.neurons - this.taking;
      return { topRate, lam, solved, bounded, quantile, languages: [...languages], tau, number, n, selected, codes, starved };
    }

    // Lower is better; of another detector the place.
    score(neuron, lam) {
      if (this.places) return this.places[neuron] || Infinity;
      return this.entropy[neuron] - lam * this.peak[neuron];
    }

    // Some neurons, the lowest score first; of equal ones those that come first.
    byScore(neurons, lam) {
      return neurons.sort((one, other) => this.score(one, lam) - this.score(other, lam) || one - other);
    }

    // Place of a neuron's score among all, from 1, the lowest first.
    rank(neuron, lam) {
      this.select(this.taking, lam);
      let place = 1;
      for (let i = 0; i < this.size; i++) {
        if (this.key[i] < this.key[neuron] || (this.key[i] === this.key[neuron] && i < neuron)) place++;
      }
      return place;
    }

    // The neurons whose probabilities are nearest: Euclidean distance over the chosen languages.
    nearest(neuron, number) {
      if (this.starved[neuron]) return [];
      const distances = new Float64Array(this.size);
      for (const language of this.chosen) {
        const [plane, table] = [this.values[language], this.tables[language]];
        const own = table[plane[neuron]];
        for (let i = 0; i < this.size; i++) distances[i] += this.starved[i] ? Infinity : (table[plane[i]] - own) ** 2;
      }
      distances[neuron] = Infinity;
      const near = [];
      for (let i = 0; i < this.size; i++) {
        if (distances[i] === Infinity) continue;
        if (near.length === number && distances[i] >= distances[near[number - 1]]) continue;
        let place = near.length;
        while (place && distances[near[place - 1]] > distances[i]) place--;
        near.splice(place, 0, i);
        near.length = Math.min(near.length, number);
      }
      return near.map((i) => ({ neuron: i, distance: Math.sqrt(distances[i]) }));
    }
  }

  // The lines e - lam * m of general neurons that are lowest somewhere on lam >= 0, steepest last.
  function envelope(e, m, n, k) {
    const lowest = new Map(); // of lines of equal slope only the lowest
    for (let i = 0; i < n.length; i++) {
      if (n[i] !== k) continue;
      const known = lowest.get(m[i]);
      if (known === undefined || e[i] < e[known]) lowest.set(m[i], i);
    }
    const general = [...lowest.values()].sort((one, other) => m[one] - m[other]);
    const crossing = (flat, steep) => (e[steep] - e[flat]) / (m[steep] - m[flat]);
    const hull = [];
    for (const i of general) {
      while (hull.length && e[i] <= e[hull.at(-1)]) hull.pop(); // lower at 0 and falling faster
      while (hull.length > 1 && crossing(hull.at(-2), i) <= crossing(hull.at(-2), hull.at(-1))) hull.pop();
      hull.push(i);
    }
    return [hull.map((i) => e[i]), hull.map((i) => m[i])];
  }

  globalThis.neuroglot = Object.assign(globalThis.neuroglot ?? {}, { KINDS, Refusal, Identifier, inflate, unpack, unpackPlaces });
})();
