/* Where the pictures come from: hls.js first, the browser's own HLS else, the small MP4 otherwise. */

export const PROBLEMS = {
  session: "Your session has ended. Sign in again to go on watching.",
  gone: "This recording is not available to you any more. It may have been withdrawn, or no longer be shared with you.",
  offline: "The connection was lost. Check your network, then try again.",
  unknown: "The recording could not be played. Try again, or reload the page.",
};

/**
 * Why an address does not answer: a key of PROBLEMS. A playlist is never redirected by our server except to the
 * sign-in page; a file may be (to storage), so there a redirect says nothing.
 */
async function reasonFor(url, isPlaylist) {
  try {
    const answer = await fetch(url, { redirect: "manual", headers: { Range: "bytes=0-0" }, cache: "no-store" });
    if (answer.status === 401 || (isPlaylist && answer.type === "opaqueredirect")) return "session";
    if ([403, 404, 410].includes(answer.status)) return "gone";
    return "unknown";
  } catch {
    return "offline"; // fetch throws only when nothing answered
  }
}

/** What people call a level: its short edge. */
function nameOf(level) {
  return `${Math.min(level.width, level.height) || level.height}p`;
}

class FileSource {
  kind = "file";
  levels = [];

  constructor(video, url, isPlaylist, handlers) {
    Object.assign(this, { video, url, isPlaylist, handlers });
    video.addEventListener("error", () => this.#failed());
    // A missing <source> file is told to the source element, not to the video.
    video.querySelector("source")?.addEventListener("error", () => this.#failed());
    if (video.error || video.networkState === HTMLMediaElement.NETWORK_NO_SOURCE) this.#failed();
  }

  async #failed() {
    this.handlers.onProblem(await reasonFor(this.url, this.isPlaylist));
  }

  retry() {
    const at = this.video.currentTime;
    this.video.addEventListener("loadedmetadata", () => { this.video.currentTime = at; }, { once: true });
    this.video.load();
  }
}

class HlsSource {
  kind = "hls";
  levels = [];
  #recoveredAt = -Infinity;
  #reloadedAt = -Infinity;
  #mediaFailed = false;
  #grows = false;

  constructor(Hls, video, url, start, handlers) {
    Object.assign(this, { Hls, video, url, handlers });
    this.hls = new Hls({
      startPosition: Math.max(start, 0), // said also for 0: a playlist that still grows would begin near its end
      enableWorker: false, // its worker is a blob, which a strict content security policy forbids; fMP4 needs none
      capLevelToPlayerSize: true,
      backBufferLength: 60,
      // The same picture in fewer bytes, where the browser can decode it; otherwise hls.js leaves those levels out.
      videoPreference: { videoCodec: "av01" },
      // Captions are ours: hls.js would switch off text tracks that it did not make.
      subtitleStreamController: undefined,
      subtitleTrackController: undefined,
      timelineController: undefined,
    });
    this.hls.on(Hls.Events.MANIFEST_PARSED, (_, data) => {
      const all = data.levels.map((level, index) => ({ index, name: nameOf(level), av1: level.videoCodec?.startsWith("av01") }));
      // each size once: there is an AV1 level beside every other one, or none at all
      this.levels = all.some((level) => level.av1) ? all.filter((level) => level.av1) : all;
      handlers.onLevels(this.levels);
    });
    this.hls.on(Hls.Events.LEVEL_LOADED, (_, data) => { this.#grows = data.details.live; });
    this.hls.on(Hls.Events.AUDIO_TRACKS_UPDATED, (_, data) => handlers.onSounds(data.audioTracks.map((track) => track.name)));
    this.hls.on(Hls.Events.LEVEL_SWITCHED, (_, data) => handlers.onLevel(nameOf(this.hls.levels[data.level])));
    this.hls.on(Hls.Events.ERROR, (_, data) => { if (data.fatal) this.#failed(data); });
    this.hls.loadSource(url);
    this.hls.attachMedia(video);
  }

  async #failed(data) {
    if (data.type === this.Hls.ErrorTypes.MEDIA_ERROR && performance.now() - this.#recoveredAt > 10_000) {
      this.#recoveredAt = performance.now();
      this.hls.recoverMediaError();
      return;
    }
    this.#mediaFailed = data.type === this.Hls.ErrorTypes.MEDIA_ERROR;
    const status = data.response?.code ?? 0;
    if (this.#grows && status === 404 && performance.now() - this.#reloadedAt > 10_000) {
      // what was encoded so far has become one file, under another address
      this.#reloadedAt = performance.now();
      this.hls.config.startPosition = this.video.currentTime;
      this.hls.loadSource(this.url);
      return;
    }
    if (status === 401) this.handlers.onProblem("session");
    else if ([403, 404, 410].includes(status)) this.handlers.onProblem("gone");
    else this.handlers.onProblem(await reasonFor(this.url, true));
  }

  /** `index` of `levels`, or -1 for the automatic choice; takes effect at the next segment. */
  choose(index) {
    this.hls.nextLevel = index;
  }

  /** `index` of the tracks of sound. */
  chooseSound(index) {
    this.hls.audioTrack = index;
  }

  retry() {
    if (this.#mediaFailed) this.hls.recoverMediaError();
    else if (this.levels.length === 0) this.hls.loadSource(this.url);
    else this.hls.startLoad(this.video.currentTime);
  }
}

/** Pick and start the source. `handlers`: onLevels(list), onLevel(name), onSounds(names), onProblem(key). */
export async function attachSource(video, { playlist, start, handlers }) {
  if (playlist) {
    const Hls = await loadHls();
    if (Hls?.isSupported()) return new HlsSource(Hls, video, playlist, start, handlers);
  }
  const native = playlist && video.canPlayType("application/vnd.apple.mpegurl") !== "";
  if (native) video.src = playlist;
  if (start > 0) {
    const seek = () => { video.currentTime = start; };
    if (video.readyState >= HTMLMediaElement.HAVE_METADATA) seek();
    else video.addEventListener("loadedmetadata", seek, { once: true });
  }
  return new FileSource(video, native ? playlist : video.querySelector("source")?.src ?? "", Boolean(native), handlers);
}

async function loadHls() {
  try {
    return (await import("../vendor/hls/hls.js")).default;
  } catch (error) {
    console.warn("hls.js could not be loaded, the plain file is used instead:", error);
    return null;
  }
}
