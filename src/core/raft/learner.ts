import { Follower } from "./follower.ts";

/**
 * A follower that is not a voter: it takes the log and may serve reads, but never campaigns (thesis §4.2.1). It
 * still answers requests to vote, since a candidate may already know of its promotion.
 */
export class Learner extends Follower {
  override deadlineMs(): number | null {
    return null;
  }

  override onDeadline(): void {}
}
