// The job `deploy`: deploys images that `build` has pushed, or rolls back. By hand only, and apart from `build`, so that a
// rollback does not wait for a build. Language: the plugin job-dsl.
pipelineJob('deploy') {
  description('Deploys what `build` has pushed (TAG), or rolls back. Its name is the ACTION of the Jenkinsfile, unless that is set.')
  definition {
    cpsScm {
      scm {
        git {
          remote {
            url(GIT_URL)
            credentials('git')
          }
          branch('main')
        }
      }
      scriptPath('Jenkinsfile')
    }
  }
}
