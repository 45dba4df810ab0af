/*
** api.c: the routine tables that lsc_api.h describes. Included by engine.c.
*/
#include "lsc_api.h"

#define LSC_API_NAME(name) name,

const struct lsc_api *lsc_api(void){
  static const struct lsc_api api = {
    (int)sizeof(struct lsc_api), &sqlite3Apis, &sqlite3_temp_directory, &sqlite3_data_directory,
    LSC_API_ROUTINES(LSC_API_NAME)
  };
  return &api;
}
