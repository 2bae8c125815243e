export { BACKUP_VERSION_NAME, type BackupHead } from "./backup-format.ts";
export { BackupReader, type BackupSummary } from "./backup-reader.ts";
export { backupOf, type BackupPiece, type Origin } from "./backup-stream.ts";
