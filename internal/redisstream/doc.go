// Package redisstream speaks the stream commands of Redis: how a page is read
// and judged, many live tails are read at once, and an entry is added.
//
// It is shared by package replayer, which reads history for one connection,
// and package broadcaster, which follows the ends of many streams. Nothing
// here retries; a caller that wants no retries at all, and no doubled XADD,
// gives a client with MaxRetries -1.
//
// Every read is inclusive of the position it starts at. The entry at the
// position being there is the proof that nothing between it and its successor
// was trimmed, and that the history did not fork: an exclusive read cannot
// tell, and with MAXLEN 1 loses entries without a sign.
package redisstream
