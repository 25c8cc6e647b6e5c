/* jdate.c */
typedef int jdate_empty;
