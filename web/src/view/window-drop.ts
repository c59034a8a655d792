/**
 * Makes the whole window a place to drop files on. Called once by main.tsx; lives as long as the page.
 */
export interface WindowDrop {
  readonly onDragging: (dragging: boolean) => void;
  readonly onFiles: (files: readonly File[]) => void;
  /** Folders can't be read as files; they are left out and told. */
  readonly onFolders: () => void;
}

export function listenForDrops(target: Window, { onDragging, onFiles, onFolders }: WindowDrop): void {
  // Entering a child leaves its parent: only the sum tells whether the window was left.
  let depth = 0;
  target.addEventListener("dragenter", (event) => {
    if (!bringsFiles(event)) return;
    event.preventDefault();
    depth++;
    onDragging(true);
  });
  target.addEventListener("dragover", (event) => {
    // Without this the browser would open the file and leave the page.
    if (bringsFiles(event)) event.preventDefault();
  });
  target.addEventListener("dragleave", (event) => {
    if (!bringsFiles(event)) return;
    depth = Math.max(0, depth - 1);
    if (depth === 0) onDragging(false);
  });
  target.addEventListener("drop", (event) => {
    if (!bringsFiles(event)) return;
    event.preventDefault();
    depth = 0;
    onDragging(false);
    const { files, folders } = takeFiles(event.dataTransfer);
    if (files.length > 0) onFiles(files);
    if (folders > 0) onFolders();
  });
}

function bringsFiles({ dataTransfer }: DragEvent): boolean {
  return dataTransfer?.types.includes("Files") === true;
}

function takeFiles(transfer: DataTransfer | null): {
  readonly files: readonly File[];
  readonly folders: number;
} {
  const files: File[] = [];
  let folders = 0;
  for (const item of transfer?.items ?? []) {
    if (item.kind !== "file") continue;
    const file = item.getAsFile();
    if (item.webkitGetAsEntry()?.isDirectory === true) folders++;
    else if (file !== null) files.push(file);
  }
  return { files, folders };
}
