/* log.c */
typedef int log_empty;
