/** The package's version. A Worker has no files to read it from; a test compares the two. */
export const VERSION = "0.1.0";
